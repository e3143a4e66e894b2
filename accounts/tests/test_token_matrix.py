"""Every kind of token at every place that takes one: it opens its own and no other.

Another kind of token is one more row of KINDS (accounts/tests/token_kinds.py), another place one more of PLACES.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.test import override_settings

from accounts.models import ExchangeCode, FactorReset, MailToken, Session, User
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, outcome, post
from accounts.tests.test_admin import post as post_page
from accounts.tests.token_kinds import KINDS, Holders
from tests.authenticators import SoftPasskey
from tests.listeners import ListenerClient

Send = Callable[[Holders, str], Any]


class Place(NamedTuple):
    """Where a token is taken, how it is sent, the kind that opens it, and how any other is refused."""

    send: Send
    own: str
    refusal: tuple[int, str]


class Page(NamedTuple):
    """A page of the admin, judged as an answer of the API is: a link that opens nothing shows no secret."""

    status_code: int
    content: bytes

    def json(self) -> dict[str, str]:
        return {"code": "token_invalid"}


def by_body(path: str, field: str = "token", **more: str) -> Send:
    return lambda holders, token: post(holders.public, path, **{field: token}, **more)


def with_code(holders: Holders, token: str) -> Any:
    return post(holders.public, "login/mfa", mfa_token=token, code=holders.code())


def as_second_factor(holders: Holders, challenge: str) -> Any:
    credential = holders.passkey.sign({"challenge": challenge})
    return post(holders.public, "login/mfa", mfa_token=holders.carls_mfa_token, credential=credential)


def as_passkey(holders: Holders, challenge: str) -> Any:
    return post(holders.public, "passkey/login", credential=holders.passkey.sign({"challenge": challenge}))


def as_new_passkey(holders: Holders, challenge: str) -> Any:
    made = SoftPasskey().make({**holders.registration, "challenge": challenge})
    return post(holders.registrant, "mfa/passkeys", credential=made, name="")


def as_enrolment(_holders: Holders, token: str) -> Any:
    page = post_page(ListenerClient("admin"), "/admin/enrol/", {"token": token, "password": PASSWORD})
    return Page(200 if b"<svg" in page.content else 400, page.content)


VOID = (400, "token_invalid")
PLACES = {
    "Authorization": Place(
        lambda holders, token: holders.public.with_token(token).get("/v1/auth/me"),
        "access",
        (401, "access_token_invalid"),
    ),
    "refresh": Place(by_body("refresh", "refresh_token"), "refresh", (401, "refresh_token_invalid")),
    "verify-email": Place(by_body("verify-email"), "verify link", VOID),
    "refuse-registration": Place(by_body("refuse-registration"), "refuse link", VOID),
    "password-reset": Place(by_body("password-reset", new_password=OTHER_PASSWORD), "reset link", VOID),
    "confirm-email-change": Place(by_body("confirm-email-change"), "change link", VOID),
    "undo-email-change": Place(by_body("undo-email-change"), "undo link", VOID),
    "cancel-mfa-reset": Place(by_body("cancel-mfa-reset"), "cancel link", VOID),
    "the admin's enrolment": Place(as_enrolment, "enrolment link", VOID),
    "login/mfa": Place(with_code, "mfa token", (401, "mfa_token_invalid")),
    "login/mfa by passkey": Place(as_second_factor, "second factor's challenge", (401, "mfa_invalid_code")),
    "passkey/login": Place(as_passkey, "sign-in challenge", (401, "passkey_invalid")),
    "mfa/passkeys": Place(as_new_passkey, "registration challenge", (400, "passkey_refused")),
    "google/token": Place(
        by_body("google/token", "id_token"), "Google's ID token", (401, "id_token_invalid")
    ),
    "the ID token's nonce": Place(
        lambda holders, token: post(holders.public, "google/token", id_token=holders.id_token(token)),
        "nonce",
        (401, "id_token_invalid"),
    ),
    "google/callback": Place(
        lambda holders, token: post(
            holders.public, "google/callback", state=token, code=holders.brought["code"]
        ),
        "state",
        (400, "state_invalid"),
    ),
    "google/callback, code": Place(
        lambda holders, token: post(
            holders.public, "google/callback", state=holders.brought["state"], code=token
        ),
        "Google's code",
        (400, "oauth_code_invalid"),
    ),
    "exchange": Place(by_body("exchange", "code"), "exchange code", VOID),
}


def rows() -> list[Any]:
    """List what a token of any kind could open."""
    models: tuple[Any, ...] = (
        User,
        Session,
        SocialAccount,
        Authenticator,
        FactorReset,
        MailToken,
        ExchangeCode,
    )
    return [list(model.objects.order_by("pk").values()) for model in models]


@contextmanager
def undone() -> Iterator[None]:
    """Undo what happens inside: neither in the database nor in the limits."""
    with override_settings(RATE_LIMITS_NAMESPACE=f"test-{uuid4().hex}"), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.mark.django_db
@pytest.mark.parametrize("place", PLACES)
def test_opens_its_own_place_and_no_other(place: str, google: Any, make_user: Callable[..., User]) -> None:
    where, holders = PLACES[place], Holders(google, make_user)
    tokens = {kind: holders.token(kind) for kind in KINDS}
    before = rows()
    for kind, token in tokens.items():
        with undone():
            answer = where.send(holders, token)
            if kind == where.own:
                assert answer.status_code in {200, 201, 204}, answer.content
            else:
                assert outcome(answer) == where.refusal, kind
                assert rows() == before, kind


def test_every_kind_has_a_place() -> None:
    opened = [place.own for place in PLACES.values()]
    assert sorted(opened) == sorted(
        set(KINDS) - {"access signed as refresh", "refresh signed as access", "code"}
    )
