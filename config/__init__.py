"""The project: settings, URLconfs, and what every answer has in common. Nothing in the apps imports it."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
