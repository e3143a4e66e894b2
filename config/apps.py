"""The project as an app of Django: what every process needs once its apps are loaded."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        """Load the Celery application, so that `shared_task` finds it. Not before: reading a setting, a version
        or the names of commands needs none of it.
        """
        from config import celery  # noqa: F401
