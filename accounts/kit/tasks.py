"""Give tasks the project's Celery application, whoever imports them first: Celery's own leads to no broker of ours."""

from celery import shared_task
from django.conf import settings
from django.utils.module_loading import import_string

import_string(settings.TASK_APPLICATION)

__all__ = ["shared_task"]
