"""The Celery application: `celery -A config worker`, `celery -A config beat`."""

from celery import Celery

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
