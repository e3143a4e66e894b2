"""Configures logging: JSON lines on standard output, without Django's own lines about requests."""

from config.logging import PLAIN

# RequestFloor's line is all that is logged about a request: Django's own lines would contain the path.
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
        "celery.beat": {"level": "WARNING"},  # "a task is due"
        "celery.worker.strategy": {"level": "WARNING"},  # "a task has been received"
        "celery.app.trace": {"filters": ["not scheduled"]},  # "a task has finished"
        "celery": {"level": "WARNING" if PLAIN else "INFO"},
        "stripe": {"level": "WARNING"},  # it would log URLs with their queries
    },
}
