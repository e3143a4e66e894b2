"""The Celery application: `celery -A config worker`, `celery -A config beat`."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_init

import config.background
import config.stale_connections  # both listen, in web processes too: each of them loads this module
import config.tracing

app = Celery("config", task_cls=config.background.ServiceTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**kwargs: Any) -> None:
    """That somebody listens stops Celery from setting logging up its way: Django has done it (config/logging.py)."""


@worker_init.connect
def trace_tasks(**kwargs: Any) -> None:
    config.tracing.start()
