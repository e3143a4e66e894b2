"""Apps: our own, Django's admin with our site, and allauth's for their tables alone.

allauth's views, middleware, checks and signals stay out. allauth.account is here because its other apps import its
models; no EmailAddress row is ever written (User.email is the one truth).
"""

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_save
from django.utils.module_loading import autodiscover_modules

from accounts.kit import paths


class AccountsConfig(AppConfig):
    default = True
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import checks, hooks, tasks  # noqa: F401  registers both: a nudge finds a task by its name

        post_save.connect(hooks.saved, sender="accounts.User")

        paths.register()


class StaffAdminConfig(admin_apps.AdminConfig):
    """The admin app, with our site in place of Django's."""

    default = False  # Django's says True, and the app named `accounts` has one default
    default_site = "accounts.admin.site.StaffSite"

    def ready(self) -> None:
        super().ready()
        autodiscover_modules("admin.rows", register_to=admin.site)


class AccountTables(AppConfig):
    """Without allauth's `ready`, which demands a middleware that reads cookies."""

    name = "allauth.account"
    label = "account"
    default_auto_field = "django.db.models.AutoField"


class FactorTables(AppConfig):
    name = "allauth.mfa"
    label = "mfa"
    default_auto_field = "django.db.models.BigAutoField"


class SocialTables(AppConfig):
    """With the registry of providers, which accounts/google/client.py reads."""

    name = "allauth.socialaccount"
    label = "socialaccount"
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        from allauth.socialaccount.providers import registry

        registry.load()
