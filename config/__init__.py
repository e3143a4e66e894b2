"""The project: settings, URLconfs, and what every answer has in common. Nothing in the apps imports it."""

from config.celery import app as celery_app

VERSION = "0.1.0"  # as in pyproject.toml

__all__ = ["VERSION", "celery_app"]
