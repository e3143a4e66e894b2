"""The serving role brings its time-outs along, so no pooler loses them; `check --deploy` reads what sessions have."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from accounts import checks
from accounts.upkeep import session_settings

pytestmark = pytest.mark.django_db
ROLES = Path(settings.BASE_DIR) / "deploy" / "postgres" / "roles.sh"


def of_role(role: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT unnest(rolconfig) FROM pg_roles WHERE rolname = %s", [role])
        rows = [str(row[0]).partition("=") for row in cursor.fetchall()]
    return {name.lower(): value for name, _, value in rows}


def found() -> set[str]:
    return {str(message.id) for message in run_checks(tags=[checks.TAG], include_deployment_checks=True)}


class TestRole:
    def test_gets_every_setting_of_a_session(self) -> None:
        for _ in range(2):
            assert session_settings.give_to_role(connection, role="auth_app")
            assert of_role("auth_app") == settings.SESSION_SETTINGS

    def test_is_left_alone_by_a_role_that_may_not(self) -> None:
        before = of_role("auth_app")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE auth_owner")
            assert not session_settings.give_to_role(connection, role="auth_app")
            cursor.execute("RESET ROLE")
        assert of_role("auth_app") == before

    def test_the_script_that_makes_the_roles_says_the_same(self) -> None:
        said = dict(
            re.findall(r"^ALTER ROLE auth_app SET (\w+) = '(\w+)';$", ROLES.read_text(), re.MULTILINE)
        )
        assert said == settings.SESSION_SETTINGS

    def test_is_never_set_through_a_pooler(self, settings: Settings) -> None:
        settings.MIGRATES_THROUGH_POOLER = True
        with pytest.raises(CommandError, match="DATABASE_MIGRATE_URL"):
            call_command("migrate", verbosity=0)


class TestReadBack:
    @pytest.fixture
    def _without_options(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As behind a pooler whose role was given nothing."""
        options = {
            name: value for name, value in connection.settings_dict["OPTIONS"].items() if name != "options"
        }
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)

    def test_sessions_have_their_limits(self) -> None:
        assert session_settings.without_limit() == []
        assert "accounts.W002" not in found()

    @pytest.mark.own_session
    @pytest.mark.usefixtures("_without_options")
    def test_a_session_without_limits_is_found(self) -> None:
        assert session_settings.without_limit() == [*session_settings.TIMEOUTS]
        assert "accounts.W002" in found()

    def test_a_database_that_is_away_is_no_fault_of_the_settings(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
        assert {"accounts.I001"} == found() & {"accounts.I001", "accounts.W002"}

    def test_what_answers_is_no_pooler(self, settings: Settings) -> None:
        assert session_settings.pooler_version() is None
        settings.DATABASE_POOL = "transaction"
        assert "accounts.I002" in found()


class TestPooler:
    @pytest.mark.parametrize(
        ("version", "pool", "prepared", "expected"),
        [
            ((1, 18, 0), "transaction", True, {"accounts.E017", "accounts.W003"}),
            ((1, 18, 0), "transaction", False, {"accounts.W003"}),
            ((1, 18, 0), "session", True, {"accounts.W003"}),
            ((1, 22, 1), "transaction", True, {"accounts.W003"}),
            ((1, 26, 0), "transaction", True, {"accounts.W003"}),
            ((1, 26, 1), "transaction", True, set()),
            ((1, 100, 0), "transaction", True, set()),
        ],
    )
    def test_an_old_one_is_named(
        self, settings: Settings, version: tuple[int, ...], pool: str, prepared: bool, expected: set[str]
    ) -> None:
        settings.DATABASE_POOL, settings.DATABASE_PREPARED_STATEMENTS = pool, prepared
        assert {str(message.id) for message in checks.faults_of_pooler(version)} == expected
