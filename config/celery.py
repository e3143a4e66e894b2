"""The Celery application: `celery -A config worker`, `celery -A config beat`."""

from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init, worker_process_init

import config.background
import config.stale_connections  # both listen, in web processes too, which load this module (config/wsgi.py)
import config.tracing
from config import metrics_port

app = Celery("config", task_cls=config.background.ServiceTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**kwargs: Any) -> None:
    """Keep Celery from configuring logging, simply by being connected: Django has done it (config/logging.py)."""


@worker_init.connect
def trace_tasks(**kwargs: Any) -> None:
    config.tracing.start()


@worker_process_init.connect
def tell_what_workers_count(**kwargs: Any) -> None:
    """Open the port in each of the worker's child processes; their parent runs no tasks and counts nothing."""
    metrics_port.open_for("worker")


@beat_init.connect
def tell_what_beat_counts(**kwargs: Any) -> None:
    metrics_port.open_for("beat")
