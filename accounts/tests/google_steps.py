"""Shares among the tests of Google: the steps that a person, a browser and a thief take."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from allauth.socialaccount.models import SocialAccount

from accounts.models import AuditEvent, ServiceEvent, Session, SpentProof, User
from accounts.tests.conftest import post
from tests.fake_google.providers import Provider
from tests.listeners import ListenerClient


def begin(client: ListenerClient, **query: Any) -> str:
    """The address that the browser is sent to."""
    answer = client.get("/v1/auth/google/login", query)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["authorization_url"])


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def sign_in(client: ListenerClient, google: Provider, subject: str, **query: Any) -> Any:
    """All of it in one browser; the answer of the callback."""
    brought = google.authorize(begin(client, **query), subject)
    return post(client, "google/callback", **brought)


def nonce(client: ListenerClient) -> str:
    return str(post(client, "google/nonce").json()["nonce"])


def id_token(client: ListenerClient, google: Provider, subject: str, **changes: Any) -> str:
    """As One Tap would get it, for a fresh nonce."""
    return google.forge(google.claims(subject, **{"nonce": nonce(client), **changes}))


def sign_in_by_token(client: ListenerClient, google: Provider, subject: str, **changes: Any) -> Any:
    return post(client, "google/token", id_token=id_token(client, google, subject, **changes))


def link(user: User, google: Provider, subject: str, email: str = "") -> SocialAccount:
    """As a row that was always there."""
    return SocialAccount.objects.create(
        user=user, provider=google.url, uid=subject, extra_data={"email": email or user.email}
    )


def rows() -> dict[str, Any]:
    """Everything that a refused sign-in must not change."""
    return {
        "users": list(User.objects.order_by("pk").values()),
        "accounts": list(SocialAccount.objects.order_by("pk").values()),
        "sessions": list(Session.objects.order_by("pk").values()),
        "audit": AuditEvent.objects.count(),
        "events": ServiceEvent.objects.count(),
    }


def spent() -> int:
    return SpentProof.objects.count()
