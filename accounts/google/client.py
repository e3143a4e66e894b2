"""allauth's Google provider and OAuth 2 client; this is the only module that imports allauth's internals for them.

allauth's verifier, views and sign-up are not used (docs/decisions): they fetch certificates on every call, know no
nonce, and take `email_verified: "false"` as true. accounts/tests/test_google_contract.py states what is expected here.
"""

from typing import Any

import requests
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, _build_apps_from_settings, get_adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Client, OAuth2Error
from django.conf import settings
from django.http import HttpRequest

from accounts.google import network
from accounts.google.errors import GoogleNotConfigured, OAuthCodeInvalid
from accounts.kit import seats

SECONDS_FOR_CODE = 2.5
PROVIDER = "google"
_OUR_FAULT = frozenset({"invalid_client", "unauthorized_client", "redirect_uri_mismatch"})


class Adapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """The adapter for the setting SOCIALACCOUNT_ADAPTER."""

    def list_apps(
        self, request: HttpRequest | None, provider: str | None = None, client_id: str | None = None
    ) -> list[Any]:
        """Return the apps of the settings; allauth would query the database for more, at every sign-in."""
        found = _build_apps_from_settings(provider=provider, client_id=client_id)
        return [app for apps in found.values() for app in apps]

    def get_requests_session(self) -> requests.Session:
        return PatientSession()


class PatientSession(requests.Session):
    """A session that follows no redirects, and distinguishes an outage at Google from a refused code."""

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        options |= {"timeout": SECONDS_FOR_CODE, "allow_redirects": False}
        response = super().request(*arguments, **options)
        _require_verdict(response)
        response.headers["Content-Type"] = "application/json"  # verified above; allauth relies on the header
        return response


def _require_verdict(response: requests.Response) -> None:
    """Raise Outage unless the response accepts or refuses the code."""
    answer = response.json()  # ValueError if it is not JSON, and so not a verdict
    if not isinstance(answer, dict):
        raise network.Outage(f"an answer that is not an object, status {response.status_code}")
    refused = 400 <= response.status_code < 500 and response.status_code != 429
    if answer.get("error") in _OUR_FAULT:
        raise network.Misconfigured(
            f"{answer['error']}: see GOOGLE_CLIENT_ID, _SECRET and GOOGLE_REDIRECT_URI"
        )
    if response.status_code != 200 and not refused:
        raise network.Outage(f"status {response.status_code}")


def require_configured() -> None:
    """Raise GoogleNotConfigured unless the settings contain Google's client."""
    if not settings.GOOGLE_CLIENT_IDS:
        raise GoogleNotConfigured


def provider_name() -> str:
    """Return the provider of SocialAccount rows: the issuer, so that a row is identified by (issuer, sub)."""
    return str(_provider().sub_id)


def web_client_id() -> str:
    return str(_provider().app.client_id)


def redirect_uri() -> str:
    return settings.GOOGLE_REDIRECT_URI or f"{settings.PUBLIC_BASE_URL}/v1/auth/google/callback"


def authorization_url(*, state: str, nonce: str, code_challenge: str) -> str:
    """Return the URL at which the browser signs in."""
    provider = _provider()
    parameters = {
        **provider.get_auth_params(),
        "state": state,
        "nonce": nonce,
        "code_challenge": code_challenge,
        "code_challenge_method": "S256",
    }
    return str(
        _client().get_redirect_url(settings.GOOGLE_AUTHORIZATION_URL, provider.get_scope(), parameters)
    )


def exchange(code: str, *, code_verifier: str) -> str | None:
    """Return the ID token for the code, or None if there is none. Raise OAuthCodeInvalid or GoogleUnavailable.

    A request that waits for Google holds a thread, but neither a seat nor its connection.
    """
    try:
        # Not in `ask`: PyJWT fetches keys under a lock, and those waiting for it may hold all the seats.
        with seats.lent():
            answer = network.ask(
                lambda: _client().get_access_token(code, pkce_code_verifier=code_verifier),
                seconds=SECONDS_FOR_CODE,
            )
    except OAuth2Error as error:
        raise OAuthCodeInvalid from error
    id_token = answer.get("id_token")
    return id_token if isinstance(id_token, str) else None


def _provider() -> Any:
    require_configured()
    return get_adapter().get_provider(None, PROVIDER)


def _client() -> Any:
    app = _provider().app
    return OAuth2Client(None, app.client_id, app.secret, "POST", settings.GOOGLE_TOKEN_URL, redirect_uri())
