"""Pins what accounts/google/client.py expects of allauth: an upgrade that changes it fails here, not at a sign-in."""

import inspect
from importlib.metadata import version
from pathlib import Path

from allauth.account.apps import AccountConfig
from allauth.socialaccount import adapter, app_settings
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.oauth2.client import OAuth2Client
from django.conf import settings

from accounts.google import client

ROOT = Path(settings.BASE_DIR)


def test_the_version_is_the_one_that_was_read():
    assert version("django-allauth").startswith("65.21.")


def test_only_one_module_imports_what_is_not_public():
    importers = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "accounts").rglob("*.py")
        if not {"tests", "migrations"} & set(path.relative_to(ROOT).parts)
        and "allauth.socialaccount" in path.read_text()
        and "SocialAccount\n" not in path.read_text()
    }
    assert importers == {"accounts/google/client.py", "accounts/apps.py"}


def test_the_client_takes_what_we_give_it():
    assert list(inspect.signature(OAuth2Client.__init__).parameters)[1:7] == [
        "request", "consumer_key", "consumer_secret", "access_token_method", "access_token_url", "callback_url",
    ]  # fmt: skip
    assert "pkce_code_verifier" in inspect.signature(OAuth2Client.get_access_token).parameters


def test_apps_come_from_the_settings_without_a_query():
    assert set(inspect.signature(adapter._build_apps_from_settings).parameters) == {"provider", "client_id"}
    assert client.web_client_id() == "web.apps.test"
    assert client.provider_name() == "https://accounts.google.com"


def test_no_tokens_of_google_are_kept_and_no_address_opens_an_account():
    assert app_settings.STORE_TOKENS is False
    assert app_settings.EMAIL_AUTHENTICATION is False


def test_the_rows_are_what_we_know_them_by():
    assert SocialAccount._meta.unique_together == (("provider", "uid"),)
    assert SocialAccount._meta.get_field("uid").max_length >= 191
    assert AccountConfig.name == "allauth.account"
