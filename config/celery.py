"""The Celery application: `celery -A config worker`, `celery -A config beat`."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging

import config.stale_connections  # noqa: F401  -- listens, in web processes too: each of them loads this module

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**kwargs: Any) -> None:
    """That somebody listens stops Celery from setting logging up its way: Django has done it (config/logging.py)."""
