"""Every path that gives tokens, against every state an account can be in: one table, and the same rules in each row.

A new path is one more row of WAYS and of TABLE; a new state one more column.
"""

from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.db.models.functions import Now

from accounts.identity import erasure
from accounts.kit import metrics
from accounts.models import Session, User
from accounts.tests.conftest import PASSWORD, outcome, post
from accounts.tests.google_steps import begin, id_token, link, parameters, sign_in
from accounts.tests.test_passkeys import add, options
from tests.authenticators import code_of
from tests.fixtures import give_app, issue_access_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
EMAIL, SUBJECT = "ada@gmail.test", "700"
Come = Callable[..., Any]


class World:
    """Ada, who is about to come in; what she needs for it she has from better days."""

    def __init__(self, ada: User, google: Any, settings: Any) -> None:
        self.ada, self.google, self.settings = ada, google, settings
        self.browser = ListenerClient("public")
        link(ada, google, SUBJECT)
        google.add(SUBJECT, email=EMAIL)

    def by_password(self) -> Come:
        return lambda **keep: post(self.browser, "login", email=EMAIL, password=PASSWORD, **keep)

    def by_second_step(self) -> Come:
        """The first one was taken before the account changed."""
        secret = give_app(self.ada)
        tokens = {
            keep: post(self.browser, "login", email=EMAIL, password=PASSWORD, cancel_deletion=keep).json()[
                "mfa_token"
            ]
            for keep in (False, True)
        }

        def come(*, cancel_deletion: bool = False) -> Any:
            token = tokens[cancel_deletion]
            return post(self.browser, "login/mfa", mfa_token=token, code=code_of(secret))

        return come

    def by_passkey(self) -> Come:
        passkey = add(self.browser.with_token(issue_access_token(self.ada)))
        Session.objects.all().delete()

        def come(**keep: bool) -> Any:
            credential = passkey.sign(options(self.browser))
            return self.browser.post("/v1/auth/passkey/login", {"credential": credential, **keep})

        return come

    def by_refresh(self) -> Come:
        pair = post(self.browser, "login", email=EMAIL, password=PASSWORD).json()
        return lambda **keep: post(self.browser, "refresh", refresh_token=pair["refresh_token"])

    def by_callback(self) -> Come:
        return lambda **keep: sign_in(self.browser, self.google, SUBJECT, **in_query(keep))

    def by_get(self) -> Come:
        def come(**keep: bool) -> Any:
            brought = self.google.authorize(begin(self.browser, **in_query(keep)), SUBJECT)
            return self.browser.get("/v1/auth/google/callback", brought)

        return come

    def by_id_token(self) -> Come:
        def come(**keep: bool) -> Any:
            text = id_token(self.browser, self.google, SUBJECT, email=EMAIL)
            return post(self.browser, "google/token", id_token=text, **keep)

        return come

    def by_exchange(self) -> Come:
        def come(**keep: bool) -> Any:
            self.settings.FRONTEND_URL = "https://app.test"
            answer = self.by_get()(**keep)
            return post(self.browser, "exchange", code=parameters(answer["Location"])["code"])

        return come


def in_query(keep: dict[str, bool]) -> dict[str, str]:
    return dict.fromkeys(keep, "1")


WAYS: dict[str, Callable[[World], Come]] = {
    "login": World.by_password,
    "login/mfa": World.by_second_step,
    "passkey/login": World.by_passkey,
    "refresh": World.by_refresh,
    "google/callback": World.by_callback,
    "google/callback by GET": World.by_get,
    "google/token": World.by_id_token,
    "exchange": World.by_exchange,
}
KEEPING = {"cancel_deletion": True}
# What has become of the account, and what is asked for.
STATES: dict[str, tuple[dict[str, Any], dict[str, bool]]] = {
    "active": ({}, {}),
    "unverified": ({"email_verified_at": None}, {}),
    "suspended": ({"status": "suspended"}, {}),
    "suspended, to be kept": ({"status": "suspended"}, KEEPING),
    "closed": ({"status": "pending_deletion", "deletes_at": Now()}, {}),
    "closed, to be kept": ({"status": "pending_deletion", "deletes_at": Now()}, KEEPING),
    "erased": ({"status": "pending_deletion", "deletes_at": Now()}, {}),
    "with a factor": ({}, {}),
}
IN = (200, "")
SUSPENDED, CLOSED = (403, "account_suspended"), (403, "deletion_pending")
ENDED, FACTOR = (401, "session_revoked"), (401, "mfa_required")
RULE = (IN, IN, SUSPENDED, SUSPENDED, CLOSED, IN)
ANOTHER_ACCOUNT = IN  # Google's owner of an erased account begins anew
TABLE: dict[str, tuple[tuple[int, str], ...]] = {
    "login": (*RULE, (401, "invalid_credentials"), FACTOR),
    "login/mfa": (*RULE, (401, "mfa_token_invalid"), IN),
    "passkey/login": (*RULE, (401, "passkey_invalid"), IN),
    "refresh": (IN, IN, ENDED, ENDED, ENDED, ENDED, ENDED, IN),
    "google/callback": (*RULE, ANOTHER_ACCOUNT, FACTOR),
    "google/callback by GET": (*RULE, ANOTHER_ACCOUNT, FACTOR),
    "google/token": (*RULE, ANOTHER_ACCOUNT, FACTOR),
    "exchange": (*RULE, ANOTHER_ACCOUNT, FACTOR),
}
AMR = {way: ["google", "otp", "mfa"] for way in WAYS if "google" in way or way == "exchange"} | {
    "login": ["pwd", "otp", "mfa"]
}


@pytest.fixture
def world(make_user: Callable[..., User], google: Any, settings: Any) -> World:
    return World(make_user(EMAIL, password=PASSWORD), google, settings)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("way", WAYS)
def test_lets_in_whom_the_account_allows(world: World, way: str, state: str) -> None:
    come = WAYS[way](world)
    fields, keep = STATES[state]
    User.objects.filter(pk=world.ada.pk).update(**fields)
    if state == "erased":
        assert erasure.erase_due() == 1
    if state == "with a factor" and way not in {"login/mfa", "passkey/login"}:
        give_app(world.ada)
    had = Session.objects.count()
    answer = come(**keep)
    expected = TABLE[way][list(STATES).index(state)]
    assert outcome(answer) == expected
    is_new = expected == IN and way != "refresh"
    assert Session.objects.count() == had + is_new
    status = User.objects.values_list("status", flat=True).get(pk=world.ada.pk)
    assert status == (
        "deleted" if state == "erased" else "active" if expected == IN else fields.get("status", "active")
    )


# What a sign-in that succeeds is in the metrics; a refresh is none.
COUNTED: dict[str, list[tuple[str, str]]] = {
    "login": [("password", "ok")],
    "login/mfa": [("mfa", "ok")],
    "passkey/login": [("passkey", "ok")],
    "refresh": [],
    "google/callback": [("google", "ok")],
    "google/callback by GET": [("google", "ok")],
    "google/token": [("google", "ok")],
    "exchange": [("google", "exchange_required"), ("exchange", "ok")],
}


@pytest.mark.parametrize("way", WAYS)
def test_is_counted_by_way_and_result(world: World, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    come, counted = WAYS[way](world), []
    monkeypatch.setattr(metrics, "count", lambda metric, *labels: counted.append((metric, labels)))
    come()
    suspend(world.ada)
    refused = come().json()["code"]
    expected = [*COUNTED[way], *COUNTED[way][:-1]]
    expected += [(name, refused) for name, _ in COUNTED[way][-1:]]
    if way == "login/mfa":
        expected[-1] = ("mfa", "mfa_token_invalid")
    assert [labels for metric, labels in counted if metric is metrics.LOGINS] == expected


def suspend(user: User) -> None:
    User.objects.filter(pk=user.pk).update(status="suspended")


@pytest.mark.parametrize("way", AMR)
def test_the_token_of_a_half_sign_in_goes_on(world: World, way: str) -> None:
    """And the session says both steps."""
    come, secret = WAYS[way](world), give_app(world.ada)
    refused = come()
    assert outcome(refused) == FACTOR
    assert refused.json()["methods"] == ["totp", "recovery_code"]
    tokens = post(
        world.browser, "login/mfa", mfa_token=refused.json()["mfa_token"], code=code_of(secret)
    ).json()
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert claims["amr"] == Session.objects.get().methods == AMR[way]


def test_every_path_that_gives_tokens_is_in_the_table(public: ListenerClient) -> None:
    paths = public.get("/v1/schema").json()["paths"]
    giving = {
        path.removeprefix("/v1/auth/")
        for path, methods in paths.items()
        for operation in methods.values()
        if isinstance(operation, dict) and "Tokens" in str(operation.get("responses", {}).get("200", ""))
    }
    assert (
        giving
        == {way.removesuffix(" by GET") for way in WAYS}
        == {way.removesuffix(" by GET") for way in TABLE}
    )
