"""Sessions against a model: sign-ins, refreshes by threads at once, ways out, new passwords, suspension, new keys.

The model knows of each session which refresh token is the newest, which is the one before, and how long they may still
be used; after every step each access token must open the account exactly when the model says so.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.db.models import F
from django.test import override_settings
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.identity import status
from accounts.models import Session, User
from accounts.sessions import tokens
from accounts.tests.conftest import at_once
from tests.listeners import ListenerClient

PASSWORDS = [f"sentence number {number} of somebody" for number in range(3)]
IDLE, ABSOLUTE = timedelta(days=14), timedelta(days=90)
GRACE = timedelta(seconds=60)
PARALLEL = 4
RINGS = ("JWT_KEYS", "REFRESH_TOKEN_KEYS")


@dataclass(eq=False)
class Device:
    access: str
    refresh: list[str]  # oldest first; the last one is live
    age: timedelta = timedelta(0)
    idle: timedelta = timedelta(0)
    since_rotation: timedelta = timedelta(days=99)
    ended: bool = False

    @property
    def opens(self) -> bool:
        return not self.ended and self.age < ABSOLUTE

    @property
    def refreshes(self) -> bool:
        return self.opens and self.idle < IDLE


class Sessions(RuleBasedStateMachine):
    devices = Bundle("devices")

    def __init__(self) -> None:
        super().__init__()
        self.email = f"{secrets.token_hex(8)}@example.com"
        self.client = ListenerClient("public")
        self.known: list[Device] = []
        self.password = PASSWORDS[0]
        self.suspended = False
        self.rings = {name: list(getattr(django_settings, name)) for name in RINGS}

    def teardown(self) -> None:
        for name, ring in self.rings.items():
            use_ring(name, ring)

    @initialize()
    def register(self) -> None:
        User.objects.create_user(self.email, self.password, email_verified_at="2026-01-01T00:00:00Z")

    def post(self, path: str, token: str | None = None, **body: Any) -> Any:
        client = self.client if token is None else self.client.with_token(token)
        return client.post(f"/v1/auth/{path}", body)

    @rule(target=devices, password=st.sampled_from(PASSWORDS))
    def sign_in(self, password: str) -> Device:
        answer = self.post("login", email=self.email, password=password)
        right = password == self.password
        assert answer.status_code == ((403 if self.suspended else 200) if right else 401)
        if answer.status_code != 200:
            return Device("", [], ended=True)
        pair = answer.json()
        device = Device(pair["access_token"], [pair["refresh_token"]])
        self.known.append(device)
        return device

    @rule(device=devices, back=st.integers(0, 2))
    def refresh_at_once(self, device: Device, back: int) -> None:
        """The newest token or an older one, by several threads: one successor, the same for all, or the end."""
        if len(device.refresh) <= back:
            return
        token = device.refresh[-1 - back]
        answers = at_once(PARALLEL, lambda _: as_outcome(self.post("refresh", refresh_token=token)))
        if back == 0 and device.refreshes:
            self.expect_successor(device, answers)
        elif back == 1 and device.refreshes and device.since_rotation < GRACE:
            # The same bytes, unless another key signs by now; the same successor in any case.
            assert {jti(answer[1]) for answer in answers} == {jti(device.refresh[-1])}
        else:
            # 503: the row has aged and the token's own `exp` has not, which outside of this test are one.
            refusals = {401} if back or not device.opens else {401, 503}
            assert {answer[0] for answer in answers} <= refusals
            device.ended = device.ended or (back > 0 and device.refreshes)

    def expect_successor(self, device: Device, answers: list[tuple[int, str, str]]) -> None:
        assert {answer[0] for answer in answers} == {200}
        (successor,) = {answer[1] for answer in answers}
        device.refresh.append(successor)
        device.access = answers[0][2]
        device.idle = device.since_rotation = timedelta(0)

    @rule(device=devices)
    def sign_out(self, device: Device) -> None:
        if device.access:
            assert self.post("logout", device.access).status_code == (204 if device.opens else 401)
            device.ended = True

    @rule(device=devices)
    def sign_out_others(self, device: Device) -> None:
        if device.opens:
            assert self.client.with_token(device.access).delete("/v1/auth/sessions").status_code == 204
            self.end_all(but=device)

    @rule(device=devices)
    def sign_out_everywhere(self, device: Device) -> None:
        if device.opens:
            assert self.post("logout-all", device.access).status_code == 204
            self.end_all()

    @rule(device=devices, new=st.sampled_from(PASSWORDS))
    def change_password(self, device: Device, new: str) -> None:
        if device.opens:
            body = {"current_password": self.password, "new_password": new}
            assert self.post("change-password", device.access, **body).status_code == 204
            self.password = new
            self.end_all(but=device)

    @precondition(lambda machine: not machine.suspended)
    @rule()
    def suspend(self) -> None:
        status.suspend(user_id=User.objects.get(email=self.email).pk, reason="test", actor="test")
        self.suspended = True
        self.end_all()

    @precondition(lambda machine: machine.suspended)
    @rule()
    def reactivate(self) -> None:
        status.reactivate(user_id=User.objects.get(email=self.email).pk, reason="test", actor="test")
        self.suspended = False

    @rule(name=st.sampled_from(RINGS))
    def another_key_signs(self, name: str) -> None:
        """The older ones still verify: nobody is signed out by it."""
        ring = getattr(django_settings, name)
        fresh = type(ring[0])(secrets.token_hex(4), "HS256", secrets.token_bytes(32))
        use_ring(name, [fresh, *ring])

    @rule(days=st.sampled_from([0, 8, 15, 40]), seconds=st.sampled_from([30, 90]))
    def time_passes(self, days: int, seconds: int) -> None:
        """The rows grow older; access tokens are made afresh by refreshing, so their hour is left out."""
        gone = timedelta(days=days, seconds=seconds)
        Session.objects.update(
            **{
                name: F(name) - gone
                for name in ("current_expires_at", "expires_at", "rotated_at", "last_used_at", "created_at")
            }
        )
        for device in self.known:
            device.age += gone
            device.idle += gone
            device.since_rotation += gone

    def end_all(self, but: Device | None = None) -> None:
        for device in self.known:
            device.ended = device.ended or device is not but

    @invariant()
    def access_tokens_open_what_the_model_says(self) -> None:
        for device in self.known:
            answer = self.client.with_token(device.access).get("/v1/auth/me/status")
            assert answer.status_code == (200 if device.opens else 401)

    @invariant()
    def the_list_is_what_can_be_refreshed(self) -> None:
        live = [device for device in self.known if device.refreshes]
        if live:
            answer = self.client.with_token(live[0].access).get("/v1/auth/sessions")
            assert len(answer.json()["results"]) == len(live)


def use_ring(name: str, ring: list[Any]) -> None:
    setattr(django_settings, name, ring)
    tokens.access_backend.cache_clear()
    tokens.refresh_backend.cache_clear()


def jti(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["jti"])


def as_outcome(answer: Any) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body.get("refresh_token", ""), body.get("access_token", "")


@pytest.mark.django_db(transaction=True)
@override_settings(RATE_LIMITS_FACTOR=100_000)
def test_sessions_behave_as_the_model() -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Sessions,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=checks,
            database=None,
        ),
    )
    connection.close()
