"""Configures logging: JSON lines on standard output, and no line of Django's own about a request."""

from config.logging import PLAIN

# What RequestFloor says about a request is all that is logged of it: Django's own lines would hold the path.
LOGGING_CONFIG = "config.logging.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logging.JSONFormatter"}},
    "filters": {"not scheduled": {"()": "config.logging.NotScheduled"}},
    "handlers": {
        "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}
    },
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"level": "CRITICAL"},
        "django.security": {"level": "CRITICAL"},
        "celery.beat": {"level": "WARNING"},  # that a task is due
        "celery.worker.strategy": {"level": "WARNING"},  # that a task has come
        "celery.app.trace": {"filters": ["not scheduled"]},  # that it is done
        "celery": {"level": "WARNING" if PLAIN else "INFO"},
        "stripe": {"level": "WARNING"},  # it would log addresses with their queries
    },
}
