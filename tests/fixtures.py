"""Fixtures for the tests of every app: a client per listener, people, tokens, service keys. conftest.py names it."""

from base64 import b32encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from secrets import token_bytes
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from accounts.admin import sign_in
from accounts.kit import sealing
from accounts.kit.client import Client
from accounts.models import Service, ServiceKey, Session, User
from accounts.service_keys import form
from accounts.service_keys.registry import SCOPES, registry
from accounts.sessions import of_staff
from accounts.sessions.tokens import SessionAccessToken
from tests.listeners import ListenerClient
from tests.standby import Standby, made

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _limits_of_its_own() -> Iterator[None]:
    """Every test starts with all limits unused, though all workers share one Valkey."""
    with override_settings(RATE_LIMITS_NAMESPACE=f"test-{uuid4().hex}"):
        yield


@pytest.fixture
def standby(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standby]:
    """A replica of the database, for what reads from one."""
    with made(monkeypatch) as standby:
        yield standby


@pytest.fixture
def public() -> ListenerClient:
    return ListenerClient("public")


@pytest.fixture
def internal() -> ListenerClient:
    return ListenerClient("internal")


@pytest.fixture
def admin_site() -> ListenerClient:
    return ListenerClient("admin")


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    """`make_user()`: active and verified; `make_user(verified=False, status="suspended", password=...)`."""

    def make(
        email: str | None = None, *, verified: bool = True, password: str = PASSWORD, **fields: Any
    ) -> User:
        address = email or f"{uuid4().hex[:12]}@example.com"
        verified_at = timezone.now() if verified else None
        return User.objects.create_user(address, password, email_verified_at=verified_at, **fields)

    return make


@pytest.fixture
def user(make_user: Callable[..., User]) -> User:
    """A person who has not confirmed the address."""
    return make_user(verified=False)


@pytest.fixture
def verified_user(make_user: Callable[..., User]) -> User:
    return make_user()


@pytest.fixture
def access_token(db: None) -> Callable[[User], str]:
    """`access_token(user)`: the text of a live access token, on a session of its own."""
    return issue_access_token


def give_app(user: User) -> str:
    """An authenticator app that the user has had for a while; its secret."""
    secret = b32encode(token_bytes(20)).decode()
    sealed = sealing.seal(secret, context=f"mfa.seed:{user.pk}")
    Authenticator.objects.create(user=user, type="totp", data={"secret": sealed})
    seed = sealing.seal(token_bytes(40).hex(), context=f"mfa.seed:{user.pk}")
    Authenticator.objects.create(user=user, type="recovery_codes", data={"seed": seed, "used_mask": 0})
    return secret


def staff_session(user: User) -> ListenerClient:
    """The admin in the hands of a member of staff who has taken both steps."""
    client = ListenerClient("admin")
    client.force_login(user)
    session = client.session
    if not Authenticator.objects.filter(user=user, type="totp").exists():
        give_app(user)
    session[sign_in.FACTOR] = Authenticator.objects.get(user=user, type="totp").pk
    session[sign_in.ROW] = str(
        of_staff.open_row(user, methods=["pwd", "otp", "mfa"], client=Client(None, ""))
    )
    session.save()
    return client


def grow_old(client: ListenerClient, *, minutes: int = 6) -> None:
    """Let the client's sign-in be so long ago, as a refresh would say."""
    token = SessionAccessToken(client.defaults["HTTP_AUTHORIZATION"].split()[1].encode())  # type: ignore[arg-type]
    session = Session.objects.get(pk=token.session_id)
    session.created_at = timezone.now() - timedelta(minutes=minutes)
    session.save(update_fields=["created_at"])
    older = SessionAccessToken.for_session(session, token["tv"], email_verified=True, now=timezone.now())
    take_token(client, str(older))


def take_token(client: ListenerClient, token: str) -> None:
    """Have the client use another access token from now on."""
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"


def issue_access_token(user: User, **session_fields: Any) -> str:
    now = timezone.now()
    lives = {
        "current_jti": uuid4(),
        "current_issued_at": now,
        "current_expires_at": now + timedelta(days=14),
        "expires_at": now + settings.SESSION_ABSOLUTE_LIFETIME,
        "methods": ["pwd"],
    }
    session = Session.objects.create(user=user, **{**lives, **session_fields})
    session.refresh_from_db()
    token = SessionAccessToken.for_session(
        session, user.token_version, email_verified=user.email_verified, now=now
    )
    return str(token)


@pytest.fixture
def service_key(db: None) -> Iterator[Callable[..., str]]:
    """`service_key("shop", "credits:use")`: the text of a live key; without scopes it has all of them."""

    def make(name: str = "shop", *scopes: str) -> str:
        key = form.generate("test")
        service, _ = Service.objects.get_or_create(name=name)
        ServiceKey.objects.create(
            id=key.id, service=service, digest=key.digest, scopes=list(scopes or sorted(SCOPES))
        )
        registry.clear()
        return key.text

    yield make
    registry.clear()
