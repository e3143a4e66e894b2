"""Refreshes that are asked for again: with the key of the first try, with another, with none, soon and late."""

from datetime import timedelta

import jwt
import pytest
from django.db.models import F
from django.test import override_settings

from accounts.models import AuditEvent, Session
from accounts.tests.conftest import PASSWORD, at_once, outcome
from tests.listeners import ListenerClient

EMAIL = "ada@example.com"
KEY, OTHER_KEY = "0f8c2b6a9d1e4c7f8a5b3d2e1c0f9a8b", "1f8c2b6a9d1e4c7f8a5b3d2e1c0f9a8b"
pytestmark = pytest.mark.django_db


@pytest.fixture
def first(make_user, sign_in):
    make_user(EMAIL, password=PASSWORD)
    return sign_in(EMAIL)["refresh_token"]


def refresh(token, key=None):
    headers = {"Idempotency-Key": key} if key is not None else {}
    return ListenerClient("public").post("/v1/auth/refresh", {"refresh_token": token}, headers=headers)


def jti(answer):
    assert answer.status_code == 200, answer.content
    return jwt.decode(answer.json()["refresh_token"], options={"verify_signature": False})["jti"]


def pass_time(**time):
    """Let the last refresh be so much longer ago."""
    ago = timedelta(**time)
    Session.objects.update(
        rotated_at=F("rotated_at") - ago,
        retry_until=F("retry_until") - ago,
        current_issued_at=F("current_issued_at") - ago,
    )


def repeats():
    return AuditEvent.objects.filter(type="refresh_token_repeated").count()


def test_the_key_gets_the_same_successor_after_the_minute(first, public):
    lost = refresh(first, KEY)
    pass_time(seconds=63)
    found = refresh(first, KEY)
    assert jti(found) == jti(lost)
    assert repeats() == 1
    activity = public.with_token(found.json()["access_token"]).get("/v1/auth/me/activity").json()["results"]
    assert activity[0]["type"] == "refresh_token_repeated"


def test_within_the_minute_nothing_is_noted(first):
    assert jti(refresh(first, KEY)) == jti(refresh(first, KEY))
    assert repeats() == 0


@pytest.mark.parametrize("use", ["access token", "refresh token", "introspection"])
def test_until_the_successor_is_used(first, public, internal, service_key, use):
    pair = refresh(first, KEY).json()
    pass_time(seconds=63)
    if use == "access token":
        assert public.with_token(pair["access_token"]).get("/v1/auth/me/status").status_code == 200
    elif use == "refresh token":
        assert refresh(pair["refresh_token"]).status_code == 200
    else:
        with_key = internal.with_key(service_key("shop", "tokens:introspect"))
        assert with_key.post("/v1/tokens/introspect", {"token": pair["access_token"]}).json()["active"]
    assert outcome(refresh(first, KEY)) == (401, "refresh_token_reused")
    assert Session.objects.get().end_reason == "refresh_reuse"


def test_an_older_access_token_is_no_use_of_it(make_user, public, sign_in):
    make_user(EMAIL, password=PASSWORD)
    pair = sign_in(EMAIL)
    Session.objects.update(current_issued_at=F("current_issued_at"))
    before = public.with_token(pair["access_token"])
    lost = refresh(pair["refresh_token"], KEY)
    Session.objects.update(current_issued_at=F("current_issued_at") + timedelta(seconds=2))
    assert before.get("/v1/auth/me/status").status_code == 200
    Session.objects.update(rotated_at=F("rotated_at") - timedelta(seconds=63))
    assert jti(refresh(pair["refresh_token"], KEY)) == jti(lost)


@pytest.mark.parametrize("late", [False, True])
def test_another_key_is_somebody_else(first, late):
    refresh(first, KEY)
    if late:
        pass_time(seconds=63)
    assert outcome(refresh(first, OTHER_KEY)) == (401, "refresh_token_reused")
    assert Session.objects.get().end_reason == "refresh_reuse"


@pytest.mark.parametrize("keys", [(None, None), (KEY, None), (None, KEY)])
def test_without_a_key_there_is_a_minute(first, keys):
    successor = refresh(first, keys[0])
    assert jti(refresh(first, keys[1])) == jti(successor)
    pass_time(seconds=61)
    assert outcome(refresh(first, keys[1])) == (401, "refresh_token_reused")


def test_the_setting_says_for_how_long(first):
    lost = refresh(first, KEY)
    pass_time(minutes=9, seconds=50)
    assert jti(refresh(first, KEY)) == jti(lost)
    pass_time(seconds=15)
    assert outcome(refresh(first, KEY)) == (401, "refresh_token_reused")


def test_the_key_is_kept_as_an_hmac_of_it_and_its_token(first, settings):
    second = refresh(first, KEY).json()["refresh_token"]
    stored = bytes(Session.objects.get().retry_key or b"")
    assert len(stored) == 32
    assert KEY.encode() not in stored
    with override_settings(SECRET_KEY="x" * 50, SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        pass_time(seconds=63)
        assert refresh(first, KEY).status_code == 200
        refresh(second, KEY)
    assert bytes(Session.objects.get().retry_key or b"") != stored


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\u00e9"])
def test_other_keys(first, key):
    assert outcome(refresh(first, key)) == (400, "idempotency_key_invalid")
    assert Session.objects.get().rotated_at is None


@pytest.mark.django_db(transaction=True)
def test_parallel_callers_with_one_key_converge(first):
    assert len(set(at_once(10, lambda _: jti(refresh(first, KEY))))) == 1
