"""Each secret is rotated while what it made is in use: nobody is signed out, and no mailed link dies.

The environments are those that `manage.py signing_keys plan` prints, worked out by a shell and read as at a start.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db.models import F
from django.test import override_settings
from joserfc import jwt as second_library
from joserfc.jwk import KeySet

from accounts.kit import base64url
from accounts.models import Session, SigningKeyUse, User
from accounts.sessions import key_use, tokens
from accounts.tests.conftest import code_in, deliver_mails, link_in
from config.settings.environment import key_ring, secrets_list
from tests.fixtures import PASSWORD, staff_session
from tests.listeners import ListenerClient

EMAIL = "ada@example.com"
FIRST = {
    "JWT_KEYS": "old:HS256:cm90YXRpb24tdGVzdC1hY2Nlc3Mta2V5LTEyMzQ1Njc4OTBhYmNkZWY",
    "REFRESH_TOKEN_KEYS": "old:cm90YXRpb24tdGVzdC1yZWZyZXNoLWtleS0wOTg3NjU0MzIxeHl6",
    "MAIL_TOKEN_KEYS": "rotation-test-mail-0d7f1c93b6284ae5a1f07c3e",
    "SECRET_KEY": "rotation-test-django-5b1e8a42c9d7463fb0a6d8e2",
    "LEDGER_DIGEST_KEYS": "rotation-test-ledger-9a3c6e15d8f24b70a2c4b6d8",
}
pytestmark = pytest.mark.django_db(transaction=True)


def read(variable: str) -> dict[str, Any]:
    """The settings that a process would have with the variable of this environment."""
    if variable == "JWT_KEYS":
        return {variable: key_ring(variable)}
    if variable == "REFRESH_TOKEN_KEYS":
        return {variable: key_ring(variable, algorithm="HS256")}
    if variable == "SECRET_KEY":
        first, *older = secrets_list(variable)
        return {variable: first, "SECRET_KEY_FALLBACKS": older}
    return {variable: secrets_list(variable)}


class Rotation:
    """One variable in the steps of its plan; `with rotation.step(n):` is a process that runs with that step."""

    def __init__(
        self, variable: str, monkeypatch: pytest.MonkeyPatch, *options: str, first: str = ""
    ) -> None:
        self.variable, self._monkeypatch = variable, monkeypatch
        self.values = [first or FIRST[variable]]
        with self.step(0):
            steps = json.loads(command("plan", variable, "--json", *options))["results"]
        for step in steps:
            assert not [secret for secret in self.values[0].split(";") if secret in step["line"]]
            self.values.append(by_a_shell(variable, self.values[-1], step["line"]))

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        self._monkeypatch.setenv(self.variable, self.values[number])
        with override_settings(**read(self.variable)):
            restart()
            yield
        restart()


def by_a_shell(variable: str, value: str, line: str) -> str:
    """The variable's new value."""
    script = f'{line}\nprintf %s "${variable}"'
    return subprocess.run(
        ["/bin/sh", "-c", script], env={variable: value}, capture_output=True, text=True, check=True
    ).stdout


def restart() -> None:
    tokens.access_backend.cache_clear()
    tokens.refresh_backend.cache_clear()
    key_use.forget_in_this_process()


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("signing_keys", *arguments, stdout=out)
    return out.getvalue()


def needed(variable: str) -> str:
    """Return what `check` says of the older key, with its exit status."""
    out = StringIO()
    try:
        call_command("signing_keys", "check", "--json", stdout=out)
        refused = False
    except CommandError:
        refused = True
    reasons = {row["variable"]: row["needed"] for row in json.loads(out.getvalue())["results"]}
    assert refused == any(reasons.values())
    return str(reasons[variable])


def post(client: ListenerClient, path: str, **body: Any) -> Any:
    return client.post(f"/v1/auth/{path}", body)


@pytest.fixture
def ada(make_user: Callable[..., User]) -> User:
    return make_user(EMAIL)


@pytest.fixture
def sign_in(public: ListenerClient, ada: User) -> Callable[[], dict[str, str]]:
    def sign_in() -> dict[str, str]:
        return dict(post(public, "login", email=EMAIL, password=PASSWORD).json())

    return sign_in


@pytest.fixture
def opens(public: ListenerClient) -> Callable[[dict[str, str]], bool]:
    """Tell whether the access token of a pair opens the account. Anything but that and a 401 is a fault."""

    def opens(pair: dict[str, str]) -> bool:
        status = public.with_token(pair["access_token"]).get("/v1/auth/me").status_code
        assert status in {200, 401}
        return bool(status == 200)

    return opens


@pytest.fixture
def renew(public: ListenerClient) -> Callable[[dict[str, str]], dict[str, str]]:
    def renew(pair: dict[str, str]) -> dict[str, str]:
        answer = post(public, "refresh", refresh_token=pair["refresh_token"])
        assert answer.status_code == 200, answer.content
        return dict(answer.json())

    return renew


class TestAccessTokens:
    @pytest.mark.parametrize("algorithm", ["HS256", "ES256", "EdDSA"])
    def test_nobody_is_signed_out(
        self, monkeypatch: Any, sign_in: Any, opens: Any, renew: Any, algorithm: str
    ) -> None:
        rotation = Rotation("JWT_KEYS", monkeypatch, "--algorithm", algorithm, "--kid", "new")
        with rotation.step(0):
            before = sign_in()
        with rotation.step(1):
            assert opens(before)
            joined = sign_in()
        with rotation.step(0):
            assert opens(joined), "a process that has not been restarted meets a token of one that has"
        with rotation.step(2):
            assert opens(before)
            assert opens(joined)
            after = renew(before)
            assert opens(after)
            assert "access tokens until" in needed("JWT_KEYS")
        with rotation.step(1):
            assert opens(after), "so does one at the step before"
        an_hour = timedelta(minutes=66)
        SigningKeyUse.objects.update(last_signed_at=F("last_signed_at") - an_hour)
        with rotation.step(2):
            assert needed("JWT_KEYS") == ""
        with rotation.step(3):
            assert opens(after)
            assert not opens(before)
            assert opens(renew(joined)), "its refresh token does not depend on this ring"

    # The contract's name for it; RFC 9864 would have it say Ed25519, which PyJWT and others do not know yet.
    @pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")
    def test_a_second_library_verifies_all_of_them_by_the_published_keys(
        self, monkeypatch: Any, sign_in: Any, public: ListenerClient, ada: User
    ) -> None:
        to_curve = Rotation("JWT_KEYS", monkeypatch, "--algorithm", "ES256", "--kid", "p256")
        onward = Rotation(
            "JWT_KEYS", monkeypatch, "--algorithm", "EdDSA", "--kid", "ed", first=to_curve.values[2]
        )
        issued: list[tuple[str, str]] = []
        published = KeySet([])
        for rotation, number in ((to_curve, 2), (onward, 1), (onward, 2)):
            with rotation.step(number):
                issued.append(
                    (sign_in()["access_token"], "ES256" if number != 2 or rotation is to_curve else "EdDSA")
                )
                published = KeySet.import_key_set(public.get("/.well-known/jwks.json").json())
            for token, algorithm in issued:
                decoded = second_library.decode(token, published, algorithms=[algorithm])
                assert (decoded.claims["sub"], decoded.header["alg"]) == (str(ada.pk), algorithm)
                second_library.JWTClaimsRegistry(
                    iss={"essential": True, "value": "auth-service"},
                    aud={"essential": True, "value": "ecosystem"},
                    sub={"essential": True},
                    exp={"essential": True},
                ).validate(decoded.claims)
        assert [algorithm for _, algorithm in issued] == ["ES256", "ES256", "EdDSA"]
        assert {key.kid for key in published.keys} == {"p256", "ed"}
        assert not any(key.is_private for key in published.keys)


class TestRefreshTokens:
    def test_nobody_is_signed_out(self, monkeypatch: Any, sign_in: Any, opens: Any, renew: Any) -> None:
        rotation = Rotation("REFRESH_TOKEN_KEYS", monkeypatch, "--kid", "new")
        with rotation.step(0):
            active, away = sign_in(), sign_in()
        with rotation.step(1):
            active = renew(active)
        with rotation.step(0):
            active = renew(active)
        SigningKeyUse.objects.update(last_signed_at=F("last_signed_at") - timedelta(minutes=6))
        Session.objects.update(current_issued_at=F("current_issued_at") - timedelta(minutes=6))
        with rotation.step(2):
            assert needed("REFRESH_TOKEN_KEYS") == "2 live sessions"
            active = renew(active)
            assert needed("REFRESH_TOKEN_KEYS") == "1 live session"
            away = renew(away)
            assert needed("REFRESH_TOKEN_KEYS") == ""
        with rotation.step(3):
            assert opens(renew(active))
            assert opens(renew(away))

    def test_a_lost_answer_is_repeated_over_the_switch(
        self, monkeypatch: Any, sign_in: Any, opens: Any, renew: Any
    ) -> None:
        rotation = Rotation("REFRESH_TOKEN_KEYS", monkeypatch, "--kid", "new")
        with rotation.step(1):
            pair = sign_in()
            lost = renew(pair)
        with rotation.step(2):
            repeated = renew(pair)
            assert opens(repeated)
            renew(lost)


class TestMailedLinks:
    def test_no_link_dies(self, monkeypatch: Any, public: ListenerClient) -> None:
        rotation = Rotation("MAIL_TOKEN_KEYS", monkeypatch)
        with rotation.step(0):
            link, code = self.register(public, "link@example.com"), self.register(public, "code@example.com")
            late = self.register(public, "late@example.com")
        with rotation.step(2):
            newer = self.register(public, "newer@example.com")
            assert self.confirm(public, token=link_in(link)) == 200
            assert self.confirm(public, email="code@example.com", code=code_in(code)) == 200
        with rotation.step(1):
            assert self.confirm(public, token=link_in(newer)) == 200
        with rotation.step(3):
            assert self.confirm(public, token=link_in(late)) == 400

    def register(self, public: ListenerClient, email: str) -> Any:
        assert post(public, "register", email=email, password=PASSWORD).status_code == 202
        (message,) = deliver_mails()
        return message

    def confirm(self, public: ListenerClient, **body: str) -> int:
        mail.outbox.clear()
        return int(post(public, "verify-email", **body).status_code)


class TestDjangosOwnSecret:
    def test_cursors_and_staff_stay_in(
        self, monkeypatch: Any, make_user: Any, internal: Any, service_key: Any
    ) -> None:
        rotation = Rotation("SECRET_KEY", monkeypatch)
        user, client = make_user(), internal.with_key(service_key())
        for number in range(3):
            body = {"user_id": str(user.pk), "amount": 1 + number}
            client.post("/v1/credits/add", body, HTTP_IDEMPOTENCY_KEY=str(number))
        with rotation.step(0):
            cursor = client.get("/v1/credits/transactions", {"limit": 1}).json()["next"]
            admin_site = staff_session(make_user(is_staff=True, is_superuser=True))
        for number, status in ((1, 200), (2, 200), (3, 400)):
            with rotation.step(number):
                page = client.get("/v1/credits/transactions", {"limit": 1, "cursor": cursor})
                assert page.status_code == status
                assert admin_site.get("/admin/").status_code == 200, "signed anew at the visit in step 2"


class TestTheLedgersDigests:
    def test_a_repeat_is_known(
        self, monkeypatch: Any, internal: Any, service_key: Any, verified_user: User
    ) -> None:
        rotation = Rotation("LEDGER_DIGEST_KEYS", monkeypatch)
        client = internal.with_key(service_key())

        def add(amount: int) -> Any:
            body = {"user_id": str(verified_user.pk), "amount": amount}
            return client.post("/v1/credits/add", body, HTTP_IDEMPOTENCY_KEY="once")

        with rotation.step(0):
            first = add(5)
        with rotation.step(2):
            assert (add(5).content, add(5).headers["Idempotency-Replayed"]) == (first.content, "true")
            assert add(6).json()["code"] == "idempotency_key_reused"


class TestCommand:
    def test_never_shows_a_secret_that_exists(self, settings: Any) -> None:
        said = "".join(
            command(*arguments)
            for arguments in (
                ["list"],
                ["list", "--json"],
                ["check"],
                *(["plan", variable] for variable in (*FIRST, "FIELD_ENCRYPTION_KEYS")),
            )
        )
        plain = [settings.SECRET_KEY, *settings.MAIL_TOKEN_KEYS, *settings.LEDGER_DIGEST_KEYS]
        assert not [secret for secret in plain if secret in said]
        with pytest.MonkeyPatch.context() as environment:
            for variable in ("JWT_KEYS", "REFRESH_TOKEN_KEYS", "FIELD_ENCRYPTION_KEYS"):
                environment.setenv(variable, "x")
            for key in [*settings.JWT_KEYS, *settings.REFRESH_TOKEN_KEYS, *settings.FIELD_ENCRYPTION_KEYS]:
                assert key.material.decode(errors="replace") not in said
                assert base64url.encode(key.material) not in said

    def test_lists_what_makes_and_what_checks(self, monkeypatch: Any) -> None:
        rotation = Rotation("JWT_KEYS", monkeypatch, "--algorithm", "EdDSA", "--kid", "new")
        with rotation.step(2):
            rows = [
                row
                for row in json.loads(command("list", "--json"))["results"]
                if row["variable"] == "JWT_KEYS"
            ]
            assert [(row["kid"], row["algorithm"], row["makes"]) for row in rows] == [
                ("new", "EdDSA", True),
                ("old", "HS256", False),
            ]
            assert "old" in command("list")

    @pytest.mark.parametrize("variable", [*FIRST, "FIELD_ENCRYPTION_KEYS"])
    def test_a_new_key_is_one_that_a_start_accepts(self, variable: str, monkeypatch: Any) -> None:
        entries = {command("new", variable).strip() for _ in range(2)}
        assert len(entries) == 2
        monkeypatch.setenv(variable, entries.pop())
        if variable == "FIELD_ENCRYPTION_KEYS":
            assert len(key_ring(variable, algorithm="A256GCM")[0].material) == 32
        else:
            assert read(variable)

    @pytest.mark.parametrize(
        "arguments",
        [
            ["MAIL_TOKEN_KEYS", "--kid", "x"],
            ["REFRESH_TOKEN_KEYS", "--algorithm", "ES256"],
            ["JWT_KEYS", "--kid", "test1"],
            ["JWT_KEYS", "--kid", "a:b"],
            ["JWT_KEYS", "--kid", "$(id)"],
        ],
    )
    def test_refuses_what_could_not_be_read_back(self, arguments: list[str]) -> None:
        with pytest.raises(CommandError):
            command("new", *arguments)

    def test_nothing_to_check_where_each_ring_has_one_key(self) -> None:
        assert "no rotation is in progress" in command("check")


def test_an_unused_key_is_not_needed() -> None:
    assert key_use.need(key_use.ACCESS, uuid4().hex) is None
