"""The TypeScript client as people get it: built, packed, and used by typed programs against the running service."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.db import transaction

import clients
from accounts import sessions
from accounts.models import User
from credits.models import CreditTransaction
from free_ports import free_port
from processes import die_with_parent
from tests.authenticators import code_of
from tests.clients.conftest import KEY, missing
from tests.clients.lossy_proxy import LOST, PASSED, LossyProxy, Refusal
from tests.clients.packages import HERE, NODE, ROOT, copied, node_packages, run
from tests.fixtures import PASSWORD, give_app
from tests.served import Served
from tests.waiting import eventually

SOURCE = ROOT / "clients" / "typescript"
pytestmark = pytest.mark.django_db(transaction=True)
Program = Callable[..., Any]


@pytest.fixture(scope="session")
def programs(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the programs in `typescript`, and the README's, against the package; return what they became."""
    place = copied(HERE / "typescript", tmp_path_factory.mktemp("programs"))
    modules = place / "node_modules"
    modules.mkdir()
    for entry in node_packages().iterdir():
        (modules / entry.name).symlink_to(entry)
    (modules / "@auth-service").mkdir()
    (modules / "@auth-service" / "client").symlink_to(packed)
    for number, example in enumerate(examples()):
        (place / f"example_{number}.ts").write_text(example)
    run([NODE, modules / "typescript" / "bin" / "tsc", "--project", "."], place)
    return place / "built"


def examples() -> list[str]:
    """Return the README's examples as modules, with what they take from around them declared."""
    around = (HERE / "typescript" / "around_examples.txt").read_text()
    blocks = (SOURCE / "README.md").read_text().split("```ts\n")[1:]
    return [around + block.partition("```")[0] for block in blocks]


def test_the_package_has_code_and_types_for_each_way_in_and_needs_nothing(packed: Path) -> None:
    said = json.loads((packed / "package.json").read_text())
    assert "dependencies" not in said
    assert "peerDependencies" not in said
    for name, export in said["exports"].items():
        assert {(packed / export[kind]).exists() for kind in ("types", "default")} == {True}, name
    assert (packed / "README.md").exists()


def test_its_version_is_the_services(packed: Path) -> None:
    said = json.loads((packed / "package.json").read_text())
    assert f'version = "{said["version"]}"' in (ROOT / "pyproject.toml").read_text()


def test_the_page_of_the_demo_loads_the_client_as_it_is_built(packed: Path) -> None:
    made = clients.modules(packed / "dist")
    assert {path.name for path in (ROOT / clients.DEMO).iterdir()} == {path.name for path in made}
    stale = [str(path) for path, text in made.items() if (ROOT / path).read_text() != text]
    assert stale == [], "script/clients writes them"


@pytest.fixture
def service(programs: Path, url: str) -> Program:
    """`service("use", user=...)`: run a command of service.ts; return what it prints."""

    def service(command: str, **said: Any) -> Any:
        arguments = json.dumps({"url": url, "key": KEY, **said})
        return json.loads(run([NODE, programs / "service.js", command, arguments], programs))

    return service


class TestService:
    def test_a_lost_answer_spends_once(self, service: Program, proxy: LossyProxy, buyer: str) -> None:
        proxy.plan = [LOST, LOST]
        assert service("use", user=buyer)["answered"]["balance_after"] == 70
        assert (len(proxy.keys), len(set(proxy.keys))) == (3, 1)
        assert CreditTransaction.objects.filter(holder_id=buyer, type="use").count() == 1

    @pytest.mark.parametrize(
        "refusal",
        [
            Refusal(503, "service_unavailable", {"Retry-After": "1"}),
            Refusal(429, "rate_limited", {"Retry-After": "1"}),
            Refusal(409, "idempotency_in_progress", {"Retry-After": "1"}),
            Refusal(500, "internal_error", {"Retry-After": "1"}),
        ],
        ids=lambda refusal: str(refusal.status),
    )
    def test_a_busy_service_is_asked_again_when_it_says(
        self, service: Program, proxy: LossyProxy, buyer: str, refusal: Refusal
    ) -> None:
        proxy.plan = [refusal]
        assert service("use", user=buyer)["answered"]["balance_after"] == 70
        first, second = proxy.seen
        assert second.at - first.at >= 1.0
        assert first.key == second.key

    @pytest.mark.parametrize(
        ("refusal", "outcome"),
        [
            (Refusal(409, "balance_limit"), {"code": "balance_limit", "retryAfter": None}),
            (
                Refusal(503, "service_unavailable", {"Retry-After": "600"}),
                {"code": "service_unavailable", "retryAfter": 600},
            ),
            (Refusal(404), {"name": "UnexpectedAnswer"}),
            (Refusal(404, body=b'{"code": "NOT_FOUND"}'), {"name": "UnexpectedAnswer"}),
        ],
        ids=["409", "too long", "not ours", "a gateway's"],
    )
    def test_other_answers_stand(
        self, service: Program, proxy: LossyProxy, buyer: str, refusal: Refusal, outcome: object
    ) -> None:
        proxy.plan = [refusal]
        assert service("use", user=buyer) == outcome
        assert len(proxy.seen) == 1

    @pytest.mark.parametrize("said", ["0", "Wed, 21 Oct 2015 07:28:00 GMT", "-5"])
    def test_a_retry_after_that_is_over_is_no_leave_to_ask_without_a_pause(
        self, service: Program, proxy: LossyProxy, buyer: str, said: str
    ) -> None:
        proxy.plan = [Refusal(503, "service_unavailable", {"Retry-After": said})] * 4
        assert service("use", user=buyer)["answered"]["balance_after"] == 70
        assert proxy.seen[-1].at - proxy.seen[0].at >= 0.75  # half of 0.1, 0.2, 0.4 and 0.8

    @pytest.mark.parametrize("command", ["bigInt", "misaddressed"])
    def test_what_cannot_be_sent_is_refused_at_once(
        self, service: Program, proxy: LossyProxy, buyer: str, command: str
    ) -> None:
        assert service(command, user=buyer, patience=500) == {"name": "TypeError"}
        assert proxy.seen == []

    @pytest.mark.parametrize("answer", [Refusal(502), Refusal(500, "internal_error")], ids=["a page", "ours"])
    def test_a_capture_whose_answer_leaves_it_open_is_not_released(
        self,
        service: Program,
        proxy: LossyProxy,
        buyer: str,
        balance: Callable[[str], object],
        answer: Refusal,
    ) -> None:
        proxy.plan = [PASSED, answer]
        service("unsure", user=buyer, patience=0)
        assert balance(buyer) == (100, 40)

    def test_a_fetch_and_errors_of_other_classes_are_understood(self, service: Program) -> None:
        assert service("otherClasses") == [1, {"name": "Unreachable"}]

    def test_patience_bounds_a_try_that_hangs(self, service: Program) -> None:
        judged = service("hanging")
        assert judged["outcome"] == {"name": "Unreachable"}
        assert judged["seconds"] < 5

    def test_junk_of_dots_is_refused_as_fast_as_other_junk(self, service: Program) -> None:
        judged = service("dots")
        assert judged["name"] == "TokenRefused"
        assert judged["seconds"] < 0.5

    def test_secrets_that_anybody_could_guess_are_refused(self, service: Program) -> None:
        assert service("weakSecrets") == ["TypeError"] * 3

    def test_a_delivery_that_is_signed_but_not_json_is_refused(self, service: Program) -> None:
        assert service("notJson") == ["WebhookRefused", "The body is signed, but it is not JSON."]

    def test_every_call_of_services_has_a_method(self, service: Program, proxy: LossyProxy) -> None:
        service("everything", patience=0)
        assert missing(proxy.seen) == set()

    def test_refusals_are_typed_and_nobody_there_is_told_apart(self, service: Program, buyer: str) -> None:
        assert service("tooMuch", user=buyer) == {"code": "insufficient_credits", "available": 100}
        nowhere = f"http://127.0.0.1:{free_port()}"
        assert service("away", url=nowhere, patience=200) == {"answered": "unreachable"}

    def test_a_redirect_does_not_take_the_key_elsewhere(
        self, service: Program, proxy: LossyProxy, buyer: str
    ) -> None:
        elsewhere = LossyProxy(proxy.port)
        with elsewhere.running() as url:
            proxy.plan = [Refusal(307, headers={"Location": f"{url}/v1/credits/use"})]
            assert service("use", user=buyer) == {"name": "UnexpectedAnswer"}
        assert elsewhere.seen == []

    def test_a_batch_and_a_list(self, service: Program, proxy: LossyProxy, buyer: str) -> None:
        proxy.plan = [LOST]
        assert [one["status"] for one in service("batch", user=buyer)] == [201, 402]
        assert service("pages", user=buyer) == [-10, 100]

    @pytest.mark.parametrize(
        ("command", "printed", "left"),
        [
            ("captured", "captured", 85),
            ("left", "open", 100),
            ("thrown", {"name": "Error"}, 100),
            ("whole", "done", 60),
            ("broken", {"name": "RangeError"}, 100),
        ],
    )
    def test_holds_settle_themselves(  # noqa: PLR0917 -- fixtures
        self,
        service: Program,
        buyer: str,
        balance: Callable[[str], tuple[int, int]],
        command: str,
        printed: object,
        left: int,
    ) -> None:
        assert service(command, user=buyer) == printed
        assert balance(buyer) == (left, 0)

    def test_tokens_are_judged_and_remembered(
        self, service: Program, proxy: LossyProxy, verified_user: User, access_token: Callable[[User], str]
    ) -> None:
        printed = service("tokens", token=access_token(verified_user))
        assert printed == {"users": [str(verified_user.pk)] * 2, "refused": [True] * 3}
        assert len(proxy.seen) == 2  # the live one once, and "a.b.c", which looks like one

    def test_deliveries_of_the_real_sender_are_verified(
        self,
        service: Program,
        delivered: Callable[..., tuple[dict[str, str], bytes]],
        secret: str,
        tmp_path: Path,
    ) -> None:
        headers, body = delivered(secret)
        (tmp_path / "delivery").write_text(json.dumps({"headers": headers, "body": body.decode()}))
        printed = service("webhook", secrets=[secret], delivery=str(tmp_path / "delivery"))
        assert printed == {"available": 3, "refused": [True] * 5}

    def test_the_helpers_for_tests(self, service: Program) -> None:
        assert service("helpers") == ["user.deleted", "u1", "revoked", "old"]


@pytest.fixture
def apps(programs: Path, url: str) -> Iterator[dict[str, int]]:
    """The ports of the apps of Express and Hono."""
    arguments = json.dumps({"url": url, "key": KEY})
    server = subprocess.Popen(
        [NODE, programs / "apps.js", arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "NODE_ENV": "production"},
        preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509
    )
    with server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
        server.terminate()


@pytest.mark.parametrize(
    ("server", "path"),
    [("express", "/report"), ("hono", "/report"), ("hono", "/next")],
    ids=["Express", "Hono", "Next.js"],
)
def test_apps_let_in_who_is_signed_in(  # noqa: PLR0917 -- fixtures
    apps: dict[str, int],
    proxy: LossyProxy,
    user: User,
    verified_user: User,
    access_token: Callable[[User], str],
    server: str,
    path: str,
) -> None:
    def ask(token: str | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.get(f"http://127.0.0.1:{apps[server]}{path}", headers=headers)

    assert ask(access_token(verified_user)).json() == {"user": str(verified_user.pk)}
    assert [ask(token).status_code for token in (None, "x", "a.b.c", access_token(user))] == [
        401,
        401,
        401,
        403,
    ]
    assert ask(None).headers["WWW-Authenticate"] == "Bearer"
    proxy.plan = [LOST] * 20
    away = ask(access_token(verified_user))
    assert (away.status_code, away.headers["Retry-After"]) == (503, "5")


@pytest.fixture
def person(programs: Path, public_listener: Served, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """`person.does("signIn", email=...)`: a command of front_end.ts on one device, behind `person.proxy`."""
    proxy, file = LossyProxy(public_listener.port), tmp_path / "device.json"
    with proxy.running() as url:

        def does(command: str, **said: Any) -> Any:
            arguments = json.dumps({"url": url, "file": str(file), "password": PASSWORD, **said})
            return json.loads(run([NODE, programs / "front_end.js", command, arguments], programs))

        yield SimpleNamespace(does=does, proxy=proxy, file=file)


def refreshes(person: SimpleNamespace) -> list[str | None]:
    return [one.key for one in person.proxy.seen if one.path == "/v1/auth/refresh"]


def codes(mails: Path, email: str) -> list[str]:
    texts = [mail.read_text() for mail in mails.iterdir()]
    return [
        code
        for text in texts
        if email in text
        for code in re.findall(r"^ {4}([A-Z]{4}-[A-Z]{4})$", text, re.MULTILINE)
    ]


class TestFrontEnd:
    def test_from_signing_up_to_signing_out(self, person: SimpleNamespace, mails: Path) -> None:
        email = "newcomer@example.com"  # the mails of others are there too
        person.does("signUp", email=email)
        eventually(lambda: codes(mails, email), "the mail with the code")
        (code,) = codes(mails, email)
        assert person.does("confirm", email=email, code=code) == {
            "email": email,
            "email_verified": True,
        }
        assert person.does("signIn", email=email) == {"signedIn": True}
        assert person.does("me")["display_name"] == "Ada"
        person.does("signOut")
        assert person.does("me") == {"name": "SignedOut"}
        assert list(json.loads(person.file.read_text())) == ["deviceToken"]

    def test_a_wrong_password_is_a_refusal_and_not_repeated(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        assert (
            person.does("signIn", email=verified_user.email, password="wrong")["code"]
            == "invalid_credentials"
        )
        assert len(person.proxy.seen) == 1

    def test_too_many_tries_say_when_to_come_back_and_are_not_repeated(self, person: SimpleNamespace) -> None:
        person.proxy.plan = [Refusal(429, "rate_limited", {"Retry-After": "1"})]
        assert person.does("signIn", email="ada@example.com") == {"code": "rate_limited", "retryAfter": 1}
        assert len(person.proxy.seen) == 1

    def test_a_second_factor_is_a_second_step(self, person: SimpleNamespace, verified_user: User) -> None:
        code = code_of(give_app(verified_user))
        printed = person.does("secondFactor", email=verified_user.email, code=code)
        assert printed == {"methods": ["totp", "recovery_code"], "wrong": True, "email": verified_user.email}

    def test_ten_callers_of_five_tabs_refresh_once(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        person.does("signIn", email=verified_user.email)
        assert person.does("race") == [verified_user.email] * 10
        assert len(refreshes(person)) == 1

    def test_a_refused_token_is_renewed_once_for_all_who_were_refused(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        person.does("signIn", email=verified_user.email)
        assert person.does("refused") == [200, 200, 200]
        assert len(refreshes(person)) == 1

    def test_a_lost_refresh_is_asked_for_again_with_its_key(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        person.does("signIn", email=verified_user.email)
        person.proxy.plan = [LOST, LOST]
        assert person.does("old")["email"] == verified_user.email
        assert len(refreshes(person)) == 3
        assert len(set(refreshes(person))) == 1

    def test_a_refresh_whose_page_was_closed_is_found_by_the_next_page(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        person.does("signIn", email=verified_user.email)
        before = person.file.read_text()
        person.does("old")
        used = refreshes(person)[0]
        kept = json.loads(before)
        kept["tokens"].update(expiresAt=0, refreshKey=used)  # as it was written before the call
        person.file.write_text(json.dumps(kept))
        assert person.does("me")["email"] == verified_user.email
        assert refreshes(person) == [used, used]

    def test_an_ended_session_is_signed_out_and_an_absent_service_is_not(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        person.does("signIn", email=verified_user.email)
        person.proxy.plan = [Refusal(503, "service_unavailable", {"Retry-After": "600"})]
        assert person.does("old")["code"] == "service_unavailable"
        assert "tokens" in json.loads(person.file.read_text())
        with transaction.atomic():
            sessions.end_all(verified_user.pk, reason=sessions.EndReason.LOGOUT_ALL)
        assert person.does("old") == {"name": "SignedOut"}
        assert "tokens" not in json.loads(person.file.read_text())

    def test_tokens_go_to_known_origins_only(self, person: SimpleNamespace, verified_user: User) -> None:
        person.does("signIn", email=verified_user.email)
        assert person.does("elsewhere") == {"name": "TypeError"}

    def test_tabs_hear_of_signing_in_and_out(self, person: SimpleNamespace, verified_user: User) -> None:
        person.does("signIn", email=verified_user.email)
        assert person.does("listening", email=verified_user.email) == [False, True]

    def test_a_tab_hears_of_signing_out_before_its_browser_shows_it(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        person.does("signIn", email=verified_user.email)
        assert person.does("listeningBeforeItIsWritten") == [False]

    def test_what_is_spoilt_in_local_storage_is_nobody(self, person: SimpleNamespace) -> None:
        assert person.does("spoilt") == [False] * 5

    def test_a_server_does_not_keep_its_users_in_a_local_storage(self, person: SimpleNamespace) -> None:
        assert person.does("onAServerWithLocalStorage") is False

    def test_a_page_that_may_keep_nothing_signs_in(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        assert person.does("inAPageThatMayKeepNothing", email=verified_user.email) == {"signedIn": True}

    def test_a_page_whose_storage_is_full_signs_in(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        printed = person.does("inAPageWhoseStorageIsFull", email=verified_user.email)
        assert printed == [{"signedIn": True}, verified_user.email, 0]

    def test_users_of_a_server_neither_wait_for_nor_tell_each_other(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        printed = person.does("oneOfManyOnAServer", email=verified_user.email)
        assert printed == {"email": verified_user.email, "channels": 0}

    def test_a_tab_that_sleeps_while_it_renews_does_not_stop_the_others(
        self, person: SimpleNamespace, verified_user: User
    ) -> None:
        person.does("signIn", email=verified_user.email)
        assert person.does("behindATabThatSleeps")["email"] == verified_user.email

    def test_nobody_is_signed_in_at_first(self, person: SimpleNamespace) -> None:
        assert person.does("nobody") == "signed out"
