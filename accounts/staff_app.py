"""The admin app, with our site in place of Django's."""

from django.contrib.admin import site
from django.contrib.admin.apps import AdminConfig
from django.utils.module_loading import autodiscover_modules


class StaffAdminConfig(AdminConfig):
    default_site = "accounts.admin.site.StaffSite"

    def ready(self) -> None:
        super().ready()
        autodiscover_modules("admin.rows", register_to=site)
