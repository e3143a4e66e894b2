"""Every kind of token at every place that takes one: it opens its own and no other.

Another kind of token (of Google, of a second factor) is one more row of TOKENS, another place one more of PLACES.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jwt
import pytest
from django.conf import settings

from accounts import mail_tokens
from accounts.models import AddressChange, MailToken, PendingRegistration, Session, User
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, outcome, post
from accounts.tests.test_tokens import encoded, signed
from tests.listeners import ListenerClient

Purpose = MailToken.Purpose
EMAIL = "ada@example.com"


class Place(NamedTuple):
    """Where a token is taken, how it is sent, the kinds that open it, and how any other is refused."""

    send: Callable[[ListenerClient, str], Any]
    own: frozenset[str]
    refusal: tuple[int, str]


def by_body(path: str, field: str = "token", **more: str) -> Callable[[ListenerClient, str], Any]:
    return lambda client, token: post(client, path, **{field: token}, **more)


VOID = (400, "token_invalid")
PLACES = {
    "Authorization": Place(
        lambda client, token: client.with_token(token).get("/v1/auth/me"),
        frozenset({"access"}),
        (401, "access_token_invalid"),
    ),
    "refresh": Place(
        by_body("refresh", "refresh_token"), frozenset({"refresh"}), (401, "refresh_token_invalid")
    ),
    "verify-email": Place(by_body("verify-email"), frozenset({"verify link"}), VOID),
    "refuse-registration": Place(by_body("refuse-registration"), frozenset({"refuse link"}), VOID),
    "password-reset": Place(
        by_body("password-reset", new_password=OTHER_PASSWORD), frozenset({"reset link"}), VOID
    ),
    "confirm-email-change": Place(by_body("confirm-email-change"), frozenset({"change link"}), VOID),
    "undo-email-change": Place(by_body("undo-email-change"), frozenset({"undo link"}), VOID),
}
TOKENS = (
    "access",
    "refresh",
    "access signed as refresh",
    "refresh signed as access",
    "verify link",
    "refuse link",
    "reset link",
    "change link",
    "undo link",
    "code",
)


@pytest.fixture
def tokens(public: ListenerClient, make_user: Callable[..., User], sign_in: Any) -> dict[str, str]:
    """One live token of each kind."""
    ada = make_user(EMAIL, password=PASSWORD)
    pair = sign_in(EMAIL)
    newcomer = make_user("new@example.com", verified=False)
    registration = PendingRegistration.objects.create(
        user=newcomer, founding=True, password=newcomer.password
    )
    change = AddressChange.objects.create(
        user=ada, session=Session.objects.get(), old_email=EMAIL, new_email="ada@example.org"
    )
    verify = mail_tokens.issue(
        Purpose.VERIFY, user_id=newcomer.pk, email="new@example.com", registration=registration
    )
    reset = mail_tokens.issue(Purpose.RESET, user_id=ada.pk, email=EMAIL)
    confirm = mail_tokens.issue(Purpose.CHANGE_EMAIL, user_id=ada.pk, email="ada@example.org", change=change)
    undo = mail_tokens.issue(Purpose.UNDO_EMAIL, user_id=ada.pk, email=EMAIL, change=change)
    access_ring, refresh_ring = settings.JWT_KEYS[0], settings.REFRESH_TOKEN_KEYS[0]
    return {
        "access": pair["access_token"],
        "refresh": pair["refresh_token"],
        "access signed as refresh": relabelled(
            pair["access_token"], "rt+jwt", refresh_ring.kid, access_ring.material
        ),
        "refresh signed as access": relabelled(
            pair["refresh_token"], "at+jwt", access_ring.kid, refresh_ring.material
        ),
        "verify link": mail_tokens.link_token(verify),
        "refuse link": mail_tokens.link_token(verify, use=mail_tokens.REFUSE),
        "reset link": mail_tokens.link_token(reset),
        "change link": mail_tokens.link_token(confirm),
        "undo link": mail_tokens.link_token(undo),
        "code": mail_tokens.code(verify),
    }


def relabelled(token: str, kind: str, kid: str, material: bytes) -> str:
    """The claims of one kind under the header of the other, signed with the key that the first has."""
    claims = jwt.decode(token, options={"verify_signature": False})
    text: str = signed({"alg": "HS256", "typ": kind, "kid": kid}, claims, material)
    assert text.startswith(encoded({"alg": "HS256", "typ": kind, "kid": kid}))
    return text


@pytest.mark.django_db
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("token", TOKENS)
def test_opens_its_own_place_and_no_other(
    place: str, token: str, public: ListenerClient, tokens: dict[str, str]
) -> None:
    where = PLACES[place]
    before = list(User.objects.order_by("pk").values())
    answer = where.send(public, tokens[token])
    if token in where.own:
        assert answer.status_code in {200, 204}, answer.content
        return
    assert outcome(answer) == where.refusal
    assert list(User.objects.order_by("pk").values()) == before
    assert not MailToken.objects.exclude(used_at=None).exists()
    assert Session.objects.filter(ended_at=None).count() == 1
    assert Session.objects.get().previous_jti is None


def test_every_kind_has_a_place() -> None:
    opened = {kind for place in PLACES.values() for kind in place.own}
    assert opened == set(TOKENS) - {"access signed as refresh", "refresh signed as access", "code"}
