"""Apps: our own, and allauth's for their tables alone; allauth's views, middleware, checks and signals stay out.

allauth.account is here because its other apps import its models; no EmailAddress row is ever written (User.email is the
one truth).
"""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    default = True
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import checks, tasks  # noqa: F401  registers both: a nudge finds a task by its name


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
