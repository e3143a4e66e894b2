"""The project: settings, URLconfs, and what all responses share. Nothing in the apps imports it."""

VERSION = "0.1.0"  # as in pyproject.toml
