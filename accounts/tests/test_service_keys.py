"""Service keys: made once, shown once, rotated without a gap, refused everywhere within a second of their end."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import AuditEvent, Service, ServiceKey
from accounts.service_keys import form as key_format
from accounts.service_keys import issuing
from accounts.service_keys import registry as service_keys
from accounts.service_keys.issuing import IssuedKey, KeyRefused
from accounts.service_keys.registry import SCOPES, Registry
from tests.waiting import eventually

pytestmark = pytest.mark.django_db


@pytest.fixture
def registry() -> Registry:
    """As a process has it that has just started."""
    return Registry()


def issue(name: str = "shop", *, scopes: list[str] | None = None, days: int | None = None) -> IssuedKey:
    return issuing.create(service=name, scopes=scopes or ["credits:read"], actor="test", expires_in_days=days)


def command(*arguments: str) -> str:
    output = StringIO()
    call_command("service_key", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue().strip()


def nothing_was_made() -> bool:
    return not (Service.objects.exists() or ServiceKey.objects.exists() or AuditEvent.objects.exists())


class TestCreate:
    def test_shows_a_key_that_opens_its_scopes_and_keeps_its_digest_only(self, registry: Registry) -> None:
        text = command("create", "shop", "--scopes", "credits:use,credits:read")
        credential = registry.find(text)
        assert credential is not None
        assert (credential.service, credential.scopes) == ("shop", frozenset({"credits:use", "credits:read"}))
        key = ServiceKey.objects.get()
        assert bytes(key.digest) == key_format.digest(text)
        assert text.split("_")[3] not in repr(list(ServiceKey.objects.values()))

    def test_shows_it_once_every_process_knows_it(self, registry: Registry) -> None:
        registry.find(issue("other").text)  # has just read the table
        assert registry.find(command("create", "shop", "--scopes", "credits:use")) is not None
        assert registry.find(command("rotate", "shop")) is not None

    def test_writes_who_did_it(self) -> None:
        issued = issue()
        event = AuditEvent.objects.get()
        assert (event.type, event.actor) == ("service_key_created", "test")
        assert event.detail == {"service": "shop", "key": issued.id, "scopes": ["credits:read"]}

    def test_answers_as_json(self) -> None:
        answer = json.loads(
            command("create", "shop", "--scopes", "users:read", "--expires-in-days", "30", "--json")
        )
        assert set(answer) == {"service", "id", "key", "scopes", "expires_at", "daily_budget"}
        assert answer["expires_at"].endswith("Z")
        assert key_format.key_id(answer["key"]) == answer["id"]

    @pytest.mark.parametrize("name", ["billing", "admin", "system"])
    def test_refuses_a_reserved_name(self, name: str) -> None:
        with pytest.raises(CommandError, match="reserved"):
            command("create", name, "--scopes", "credits:read")
        assert nothing_was_made()

    @pytest.mark.parametrize("name", ["", "Shop", "1shop", "shop ", "sh\u00f6p", "shop;x", "a" * 41])
    def test_refuses_a_malformed_name(self, name: str) -> None:
        with pytest.raises(CommandError, match="not a valid service name"):
            command("create", name, "--scopes", "credits:read")
        assert nothing_was_made()

    @pytest.mark.parametrize("scopes", ["", " , ", "credits:everything", "credits:read,credits:*"])
    def test_refuses_no_scope_and_an_unknown_one(self, scopes: str) -> None:
        with pytest.raises(CommandError, match="scope"):
            command("create", "shop", "--scopes", scopes)
        assert nothing_was_made()

    @pytest.mark.parametrize("days", [0, -1, 3651])
    def test_refuses_an_impossible_life(self, days: int) -> None:
        with pytest.raises(CommandError, match="1 to 3650 days"):
            command("create", "shop", "--scopes", "credits:read", "--expires-in-days", str(days))
        assert nothing_was_made()

    def test_refuses_a_name_in_use_unless_another_key_is_meant(self) -> None:
        issue()
        with pytest.raises(CommandError, match="exists"):
            command("create", "shop", "--scopes", "credits:read")
        assert ServiceKey.objects.count() == 1
        command("create", "shop", "--scopes", "credits:add", "--another")
        assert ServiceKey.objects.filter(service_id="shop").count() == 2

    def test_refuses_a_name_that_the_environment_gives_a_key(self, settings: Settings) -> None:
        settings.INTERNAL_API_KEYS = f"demo={key_format.generate('test').text}:*"
        with pytest.raises(KeyRefused, match="exists"):
            issue("demo")
        assert nothing_was_made()

    def test_never_gives_the_name_of_a_retired_service_again(self) -> None:
        issue()
        Service.objects.update(disabled_at=Now())
        for arguments in ((), ("--another",)):
            with pytest.raises(CommandError, match="never reused"):
                command("create", "shop", "--scopes", "credits:read", *arguments)
        assert ServiceKey.objects.count() == 1


class TestRotate:
    def test_gives_a_second_live_key_with_the_same_scopes(self, registry: Registry) -> None:
        old = issue(scopes=["credits:use", "credits:read"])
        new = command("rotate", "shop")
        found = [registry.find(text) for text in (old.text, new)]
        assert [credential.scopes for credential in found if credential] == [frozenset(old.scopes)] * 2
        assert AuditEvent.objects.filter(type="service_key_rotated").count() == 1

    def test_refuses_a_service_without_a_live_key(self) -> None:
        with pytest.raises(CommandError, match="no live key"):
            command("rotate", "shop")
        issuing.revoke(key_id=issue().id, actor="test")
        with pytest.raises(CommandError, match="no live key"):
            command("rotate", "shop")

    def test_asks_when_the_live_keys_have_different_scopes(self) -> None:
        issue(scopes=["credits:read"])
        command("create", "shop", "--scopes", "credits:add", "--another")
        with pytest.raises(CommandError, match="different scopes"):
            command("rotate", "shop")
        assert ServiceKey.objects.count() == 2


class TestRevoke:
    def test_is_refused_from_the_next_reading_on(self, registry: Registry) -> None:
        issued = issue()
        assert registry.find(issued.text)
        command("revoke", issued.id)
        registry.clear()
        assert registry.find(issued.text) is None
        assert AuditEvent.objects.filter(type="service_key_revoked", detail__key=issued.id).exists()

    def test_a_second_time_changes_nothing(self) -> None:
        issued = issue()
        command("revoke", issued.id)
        before = ServiceKey.objects.values_list("revoked_at").get()
        assert "nothing was changed" in command("revoke", issued.id)
        assert ServiceKey.objects.values_list("revoked_at").get() == before
        assert AuditEvent.objects.filter(type="service_key_revoked").count() == 1

    def test_names_an_unknown_key(self) -> None:
        with pytest.raises(CommandError, match="'nowhere' is not in"):
            command("revoke", "nowhere")


class TestList:
    def test_tells_the_state_of_each_and_no_secret(self, settings: Settings) -> None:
        settings.INTERNAL_API_KEYS = f"demo={key_format.generate('test').text}:users:read"
        texts = [issue(name).text for name in ("live", "revoked", "expired")]
        issuing.revoke(key_id=ServiceKey.objects.get(service_id="revoked").pk, actor="test")
        ServiceKey.objects.filter(service_id="expired").update(expires_at=Now())
        rows = json.loads(command("list", "--json"))["results"]
        states = {row["service"]: row["state"] for row in rows}
        assert states == {"live": "live", "revoked": "revoked", "expired": "expired", "demo": "environment"}
        shown = command("list") + json.dumps(rows)
        assert not any(text.split("_")[3] in shown for text in [*texts, settings.INTERNAL_API_KEYS])

    def test_an_empty_list_is_a_heading(self, settings: Settings) -> None:
        settings.INTERNAL_API_KEYS = ""
        assert command("list").split() == [
            "service",
            "id",
            "state",
            "expires_at",
            "last_used_at",
            "daily_budget",
            "scopes",
        ]


class TestRegistry:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "svc",
            "svc_test_",
            "\u00e9" * 70,
            "a" * 10_000,
            "svc_test_" + "0" * 12 + "_" + "0" * 43 + "_000000",
        ],
    )
    def test_knows_no_junk(self, registry: Registry, text: str) -> None:
        assert registry.find(text) is None

    def test_knows_no_key_that_nobody_was_given(self, registry: Registry) -> None:
        issue()
        assert registry.find(key_format.generate("test").text) is None

    def test_refuses_a_typing_error_without_a_look_up(self, registry: Registry) -> None:
        issued = issue()
        wrong = issued.text[:-1] + ("0" if issued.text[-1] != "0" else "1")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert registry.find(wrong) is None
        assert len(queries) == 0

    def test_an_expired_key_is_refused(self, registry: Registry) -> None:
        issued = issue(days=1)
        assert registry.find(issued.text)
        ServiceKey.objects.update(expires_at=Now())
        registry.clear()
        assert registry.find(issued.text) is None

    def test_the_keys_of_a_retired_service_are_refused(self, registry: Registry) -> None:
        issued = issue()
        Service.objects.update(disabled_at=Now())
        assert registry.find(issued.text) is None

    def test_a_request_costs_no_query(self, registry: Registry) -> None:
        issued = issue()
        registry.find(issued.text)
        with CaptureQueriesContext(connection) as queries:
            registry.find(issued.text)
        assert len(queries) == 0

    def test_records_the_last_use_at_most_once_a_minute(self, registry: Registry) -> None:
        issued = issue()
        for process in (registry, Registry()):
            for _ in range(3):
                process.find(issued.text)
        first = ServiceKey.objects.values_list("last_used_at", flat=True).get()
        assert first is not None
        with CaptureQueriesContext(connection) as queries:
            Registry().find(issued.text)
        assert any("UPDATE" in query["sql"] for query in queries)
        assert ServiceKey.objects.values_list("last_used_at", flat=True).get() == first
        ServiceKey.objects.update(last_used_at=first - timedelta(seconds=61))
        Registry().find(issued.text)
        assert ServiceKey.objects.filter(last_used_at__gte=first).exists()


class TestEnvironment:
    def test_a_key_has_the_scopes_that_are_named_or_all_by_a_star(
        self, registry: Registry, settings: Settings
    ) -> None:
        everything, narrow = key_format.generate("test").text, key_format.generate("test").text
        settings.INTERNAL_API_KEYS = f"demo={everything}:*; shop={narrow}:credits:use,credits:read ;"
        credential = registry.find(everything)
        assert credential is not None
        assert (credential.service, credential.scopes) == ("demo", SCOPES)
        credential = registry.find(narrow)
        assert credential is not None
        assert (credential.service, credential.scopes) == ("shop", frozenset({"credits:use", "credits:read"}))

    @pytest.mark.parametrize(
        "form",
        [
            "{key}",
            "demo:{key}",
            "demo=svc_test_x",
            "Demo={key}",
            "billing={key}",
            "demo={key}:credits:all",
            "demo={key}",
            "demo={key}:",
            "demo={key}:*,",
            "demo={key}:*,credits:use",
            "demo={key}:,",
            "demo={key}:credits:use,",
        ],
    )
    def test_a_malformed_entry_is_refused_without_showing_it(self, form: str) -> None:
        text = key_format.generate("test").text
        with pytest.raises(ImproperlyConfigured) as refusal:
            list(service_keys.from_environment(form.format(key=text)))
        assert text.split("_")[3] not in str(refusal.value)


@pytest.mark.django_db(transaction=True)
class TestLiveProcesses:
    """Readers as the threads of a web process, with the clock running."""

    @pytest.fixture
    def answers(self) -> Iterator[list[tuple[float, str, bool]]]:
        """(when, key, accepted) of a caller who asks all the time with each key in `self.texts`."""
        registry, self.texts, seen = Registry(), list[str](), list[tuple[float, str, bool]]()
        stop = threading.Event()

        def ask() -> None:
            while not stop.wait(0.01):
                for text in tuple(self.texts):
                    seen.append((time.monotonic(), text, registry.find(text) is not None))
            connection.close()

        thread = threading.Thread(target=ask)
        thread.start()
        yield seen
        stop.set()
        thread.join()

    def test_a_revoked_key_is_refused_within_a_second(self, answers: list[tuple[float, str, bool]]) -> None:
        issued = issue()
        self.texts.append(issued.text)
        eventually(lambda: any(accepted for _, _, accepted in answers))
        issuing.revoke(key_id=issued.id, actor="test")
        revoked = time.monotonic()
        eventually(lambda: answers[-1][0] > revoked + 1.1)
        assert not [at for at, _, accepted in answers if accepted and at > revoked + 1]

    def test_two_live_keys_rotate_without_a_refusal(self, answers: list[tuple[float, str, bool]]) -> None:
        old = issue()
        self.texts.append(old.text)
        eventually(lambda: len(answers) > 20)
        new = issuing.rotate(service="shop", actor="test")
        time.sleep(
            0.6
        )  # a process may not know the new key for half a second: docs/guides/services.md says so
        self.texts[:] = [new.text]
        eventually(lambda: answers[-1][1] == new.text)
        issuing.revoke(key_id=old.id, actor="test")
        eventually(lambda: sum(text == new.text for _, text, _ in answers) > 100)
        assert all(accepted for _, _, accepted in answers)
