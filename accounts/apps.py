"""App configurations: our own, Django's admin with our site, and allauth's apps for their tables alone.

allauth's views, middleware, checks and signals are not used. allauth.account is included because allauth's other apps
import its models; no EmailAddress row is ever written, since User.email is the single source of truth.
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register
from django.db.models.signals import post_save

from accounts.kit import paths


class AccountsConfig(AppConfig):
    default = True
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import checks, hooks  # noqa: F401  registers the checks

        post_save.connect(hooks.saved, sender="accounts.User")

        paths.register()


class StaffAdminConfig(SimpleAdminConfig):
    """The admin app, with our site instead of Django's."""

    default_site = "accounts.admin.site.StaffSite"

    def ready(self) -> None:
        """Register Django's checks. The pages are loaded with their routes, so that no command waits for them."""
        register(check_dependencies, Tags.admin)
        register(_check_pages, Tags.admin)


def _check_pages(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    from accounts.admin.site import load_pages

    load_pages()
    return check_admin_app(app_configs, **options)


class AccountTables(AppConfig):
    """allauth.account without its `ready`, which demands a middleware that reads cookies."""

    name = "allauth.account"
    label = "account"
    default_auto_field = "django.db.models.AutoField"


class FactorTables(AppConfig):
    name = "allauth.mfa"
    label = "mfa"
    default_auto_field = "django.db.models.BigAutoField"


class SocialTables(AppConfig):
    """allauth.socialaccount with the registry of providers, which accounts/google/client.py reads."""

    name = "allauth.socialaccount"
    label = "socialaccount"
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        from allauth.socialaccount.providers import registry

        registry.load()
