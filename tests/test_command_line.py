"""The command line: ours first and grouped, verb before name, one shape of JSON, completion, little to load."""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class

from accounts import checks
from accounts.management.command import OurCommand
from accounts.models import User
from config.command_line import AREAS, PACKAGES, CommandLine
from tests.fixtures import PASSWORD, give_app

ROOT = Path(__file__).resolve().parent.parent
OURS = sorted(name for name, app in get_commands().items() if app in PACKAGES)
ADA = "ada@example.com"
# A call of each command that prints.
CALLS = {
    "addresses": ["--ambiguous"],
    "adjust_credits": [ADA, "5", "--reason", "x"],
    "after_restore": ["--without-tombstones"],
    "credits": ["balance", ADA],
    "dear_passwords": ["--dry-run"],
    "ensure_admin": [],
    "event_subscription": ["list"],
    "front_end_key": ["create", "shop"],
    "import_users": ["{file}"],
    "mfa_reset": ["order", ADA, "--reason", "lost"],
    "purge": ["--dry-run"],
    "reencrypt_fields": ["--dry-run"],
    "service_key": ["create", "shop", "--scopes", "credits:use"],
    "settlement_report": [],
    "signing_keys": ["new", "JWT_KEYS"],
    "staff_enrol": ["boss@example.com"],
    "sweep_credits": [],
    "sync_roles": [],
    "tombstones": ["{file}.out"],
    "user_status": ["suspend", ADA, "--reason", "x"],
    "verify_ledger": [],
}
NEEDS_SERVERS = ["distribute_ledger"]  # credits/tests/test_distribution.py
ASK_STRIPE = ["reconcile_stripe", "stripe_setup", "sync_plans"]  # billing/tests/test_commands.py
BY_THE_OWNER = ["migrate", "partition_ledger"]  # which connect anew: credits/tests/test_partitions.py
LISTS = (
    ["credits", "history", ADA],
    ["event_subscription", "list"],
    ["front_end_key", "list"],
    ["mfa_reset", "list"],
    ["purge", "--dry-run"],
    ["service_key", "list"],
    ["signing_keys", "check"],
    ["signing_keys", "list"],
    ["sync_roles"],
)

LOADED = """
import contextlib, gc, runpy, sys
own, *sys.argv = sys.argv[1:]
with contextlib.suppress(Exception):
    runpy.run_path("manage.py", run_name="__main__")
assert own in sys.modules
assert gc.isenabled()
pages = [name for name in sys.modules if name.startswith(("accounts.", "billing.", "config.", "credits."))
         and (".views" in name or name.endswith((".admin.rows", ".urls.admin")))]
print("loaded", *(name for name in HEAVY if name in sys.modules), *pages)
"""
# What most commands have no use for, and would wait for longer than for their work.
OF_TASKS, OF_LIMITS, OF_SESSIONS = "celery", "redis", "rest_framework_simplejwt"
HEAVY = (OF_TASKS, "kombu", OF_LIMITS, OF_SESSIONS, "django.test", "drf_spectacular.generators")


def parser_of(name: str) -> argparse.ArgumentParser:
    return load_command_class(get_commands()[name], name).create_parser("manage.py", name)


@pytest.fixture
def people(make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch) -> None:
    give_app(make_user(ADA))
    make_user("boss@example.com", is_staff=True)
    monkeypatch.setenv("ADMIN_EMAIL", "root@example.com")
    monkeypatch.setenv("ADMIN_PASSWORD", PASSWORD)


def answer(*arguments: str, tmp_path: Path) -> Any:
    file = tmp_path / "users.jsonl"
    file.touch()
    out, given = StringIO(), [one.format(file=file) for one in arguments]
    call_command(*given, stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


class TestHelp:
    def test_lists_ours_first_and_grouped(self) -> None:
        text = CommandLine(["manage.py", "help"]).main_help_text()
        places = [text.index(f"\n{area}\n") for area in AREAS]
        assert places == sorted(places)
        ours, others = text.split("From Django and packages")
        assert [name for name in OURS if f"\n  {name} " not in ours] == []
        assert "collectstatic" in others
        assert max(map(len, text.splitlines())) <= 110

    def test_each_of_ours_has_its_area(self) -> None:
        commands: list[Any] = [load_command_class(get_commands()[name], name) for name in OURS]
        assert {command.area for command in commands} == set(AREAS)
        assert all(len(command.brief) < 60 for command in commands)

    def test_the_verb_comes_before_the_name(self) -> None:
        for name in OURS:
            actions = [one for one in parser_of(name)._actions if not one.option_strings]
            verbs = [one for one in actions if isinstance(one, argparse._SubParsersAction)]
            assert not verbs or actions == verbs, name
            assert not [one for one in actions if one.choices and one not in verbs], name


def test_the_checks_of_our_settings_come_first() -> None:
    assert OurCommand.requires_system_checks == (checks.TAG,)


class TestJson:
    def test_every_command_that_prints_is_tried(self) -> None:
        assert sorted([*CALLS, *ASK_STRIPE, *BY_THE_OWNER, *NEEDS_SERVERS]) == OURS
        assert all(
            isinstance(load_command_class(get_commands()[name], name), OurCommand)
            for name in OURS
            if name != "migrate"
        )

    @pytest.mark.django_db
    @pytest.mark.parametrize("name", CALLS)
    def test_is_one_object(self, people: None, tmp_path: Path, name: str) -> None:
        assert isinstance(answer(name, *CALLS[name], "--json", tmp_path=tmp_path), dict)

    @pytest.mark.django_db
    @pytest.mark.parametrize("arguments", LISTS, ids=" ".join)
    def test_has_a_list_in_results(self, people: None, tmp_path: Path, arguments: list[str]) -> None:
        answered = answer(*arguments, "--json", tmp_path=tmp_path)
        assert list(answered) == ["results"]
        assert isinstance(answered["results"], list)

    @pytest.mark.django_db
    def test_may_be_asked_for_before_the_verb(self, tmp_path: Path) -> None:
        assert answer("service_key", "--json", "list", tmp_path=tmp_path) == {"results": []}

    @pytest.mark.django_db
    def test_is_not_printed_where_nobody_asked(self) -> None:
        out = StringIO()
        call_command("mfa_reset", "list", stdout=out)
        assert out.getvalue() == "None.\n"

    @pytest.mark.django_db
    def test_of_an_export_is_not_csv(self, people: None) -> None:
        with pytest.raises(CommandError, match="either --csv or --json"):
            call_command("credits", "export", ADA, "--csv", "--json")


class TestProcess:
    def run(self, *arguments: str, **environment: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT, env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test", **environment},
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    def test_ends_in_silence_where_whoever_reads_it_has_enough(self) -> None:
        read, write = os.pipe()
        os.close(read)
        ended = subprocess.run(
            [sys.executable, "manage.py", "help"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test"}, timeout=60, check=False,
        )  # fmt: skip
        os.close(write)
        assert (ended.returncode, ended.stderr) == (-signal.SIGPIPE, b"")

    def test_works_without_an_output(self) -> None:
        ended = subprocess.run(
            ["/bin/sh", "-c", '"$0" manage.py check >&-', sys.executable], cwd=ROOT, stderr=subprocess.PIPE,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test"}, timeout=60, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, b"")

    @pytest.mark.parametrize(
        ("line", "offered"),
        [
            ("manage.py service_", {"service_key"}),
            ("manage.py service_key r", {"revoke", "rotate"}),
            ("manage.py user_status suspend --rea", {"--reason"}),
            ("manage.py signing_keys new JWT", {"JWT_KEYS"}),
        ],
    )
    def test_completes(self, tmp_path: Path, line: str, offered: set[str]) -> None:
        self.run(
            "manage.py",
            _ARGCOMPLETE="1",
            _ARGCOMPLETE_IFS="\n",
            _ARGCOMPLETE_STDOUT_FILENAME=str(tmp_path / "offered"),
            COMP_LINE=line,
            COMP_POINT=str(len(line)),
        )
        assert {word.strip() for word in (tmp_path / "offered").read_text().split("\n")} == offered

    @pytest.mark.parametrize(
        ("line", "own", "wanted"),
        [
            ("service_key list", "accounts.service_keys.issuing", ()),
            ("verify_ledger", "credits.ledger.verify", ()),
            ("purge --dry-run", "accounts.upkeep.retention", (OF_SESSIONS, "django.test")),
        ],
    )
    def test_loads_neither_the_pages_of_staff_nor_any_route(
        self, line: str, own: str, wanted: tuple[str, ...]
    ) -> None:
        """The database of this call has no tables: what it loads before it asks for one is looked at."""
        printed = self.run("-c", f"HEAVY = {HEAVY}\n{LOADED}", own, "manage.py", *line.split())
        assert printed.splitlines()[-1].split() == ["loaded", *wanted]
