"""Bind tasks to the project's Celery application, wherever they are imported first: the default one has no broker."""

from celery import shared_task
from django.conf import settings
from django.utils.module_loading import import_string

import_string(settings.TASK_APPLICATION)

__all__ = ["shared_task"]
