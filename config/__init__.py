"""The project: settings, URLconfs, and what every answer has in common. Nothing in the apps imports it."""

VERSION = "0.1.0"  # as in pyproject.toml
