"""A bad number or time in the environment is refused by the name of its variable, and its value is not shown."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import permissions_by_role
from config.settings.table import TABLE, Decimal, Time, Whole, time_of, written

ROOT = Path(__file__).resolve().parent.parent
BASE, GUNICORN = "config/settings/base.py", "deploy/gunicorn.py"
LIMITS, RETENTION, THREADS = (f"config/settings/{name}.py" for name in ("limits", "retention", "threads"))
PROXIES = {
    "public": "TRUSTED_PROXY_COUNT",
    "internal": "INTERNAL_TRUSTED_PROXY_COUNT",
    "admin": "ADMIN_TRUSTED_PROXY_COUNT",
}
SOURCES = [path for path in (ROOT / "config" / "settings").glob("*.py") if path.name != "table.py"]
NUMBERS = {name: row for name, row in TABLE.items() if isinstance(row, Whole)}
TIMES = {name: row for name, row in TABLE.items() if isinstance(row, Time)}
WRONG = {
    Whole: ["abc", "1e3", "-1", "nan", "inf", "0x10", "1,5", "9" * 5000],
    Time: ["abc", "5", "-1d", "1w", "1.5h", "1d 2h", "d", "\u0665d", "9" * 5000 + "s"],
}


def read(variable: str) -> dict[str, Any]:
    """Run the file that reads the variable."""
    places = {"RETENTION_": RETENTION, "LIMIT_": LIMITS, "SIGN_IN_PAUSE": LIMITS, "FACTOR_PAUSE": LIMITS}
    for prefix, place in places.items():
        if variable.startswith(prefix):
            return runpy.run_path(str(ROOT / place))
    reading = re.compile(rf'\b(integer|decimal|duration)\(\s*"{variable}"')
    (source,) = (path for path in (*SOURCES, ROOT / GUNICORN) if reading.search(path.read_text()))
    return runpy.run_path(str(source))


def numbers_of(settings: Any) -> Iterator[float | timedelta]:
    """Yield the numbers and times among the settings, and in their dictionaries and lists."""
    if isinstance(settings, dict):
        settings = [one for name, one in settings.items() if not str(name).startswith("__")]
    if isinstance(settings, list | tuple):
        for one in settings:
            yield from numbers_of(one)
    elif isinstance(settings, int | float | timedelta) and not isinstance(settings, bool):
        yield settings


def counted(settings: dict[str, Any], meant: set[object]) -> int:
    return sum(number in meant for number in numbers_of(settings))


def refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(
        ImproperlyConfigured, match=rf"^{variable} must be a ((whole )?number|time)"
    ) as refusal:
        read(variable)
    told = str(refusal.value).removesuffix(f"{TABLE[variable].bounds}.").replace("90s, 15m, 12h or 30d", "")
    assert value not in told
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize("variable", [*NUMBERS, *TIMES])
class TestEveryNumberAndTime:
    def test_is_refused_where_it_is_none_or_out_of_bounds(
        self, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        row = TABLE[variable]
        for value in (*WRONG[Whole if isinstance(row, Whole) else Time], *beyond(row)):
            refused(monkeypatch, variable, value)

    def test_without_a_value_is_the_default(self, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        monkeypatch.delenv(variable, raising=False)
        default = list(numbers_of(read(variable)))
        for value in ("", " "):
            monkeypatch.setenv(variable, value)
            assert list(numbers_of(read(variable))) == default

    def test_is_obeyed_at_its_bounds(self, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        """The settings have the value where they did not have it before."""
        row = TABLE[variable]
        for text in bounds_of(row):
            if text == row.default:
                continue
            meant = meanings(row, text)
            monkeypatch.delenv(variable, raising=False)
            before = counted(read(variable), meant)
            monkeypatch.setenv(variable, f" {text} ")
            assert counted(read(variable), meant) > before


def meanings(row: Any, text: str) -> set[object]:
    """Return what a setting may hold for the text: a limit's times are seconds."""
    if isinstance(row, Time):
        return {time_of(text), time_of(text).total_seconds()}
    return {timedelta(minutes=int(text))} if row.unit == "minutes" else {float(text)}


def beyond(row: Any) -> list[str]:
    """Return the nearest values that are out of bounds."""
    if isinstance(row, Time):
        second = timedelta(seconds=1)
        return [written(row.most + second), *([written(row.least - second)] if row.least else [])]
    return [str(row.least - 1), *([str(int(row.most) + 1)] if row.most < 10**9 else [])]


def bounds_of(row: Any) -> list[str]:
    if isinstance(row, Time):
        return [written(row.least), written(row.most)]
    most = int(row.most) if row.most < 10**9 else row.least + 77
    return [str(row.least), str(most), *(["0.25"] if isinstance(row, Decimal) else [])]


class TestTable:
    @pytest.mark.parametrize("variable", [*NUMBERS, *TIMES])
    def test_has_a_default_within_the_bounds(self, variable: str) -> None:
        row = TABLE[variable]
        if isinstance(row, Time):
            assert row.least <= time_of(row.default) <= row.most
        elif isinstance(row, Whole):
            assert row.otherwise or row.least <= float(row.default) <= row.most

    def test_has_a_sentence_for_each(self) -> None:
        assert [name for name, row in TABLE.items() if not row.about.endswith(".")] == []

    def test_is_all_that_reads_a_number(self) -> None:
        texts = [path.read_text() for path in (*SOURCES, ROOT / GUNICORN)]
        assert not [one for one in texts if re.search(r"env\.(int|float)\(|(int|float)\((os\.|env)", one)]
        found = {
            name
            for text in texts
            for name in re.findall(r"\b(?:integer|decimal|duration)\(\s*\"(\w+)\"", text)
        }
        by_prefix = {name for name in TABLE if name.startswith(("RETENTION_", "LIMIT_"))}
        assert {*NUMBERS, *TIMES} - by_prefix - found == {
            "SIGN_IN_PAUSE_AFTER",
            "SIGN_IN_PAUSE",
            "FACTOR_PAUSE_AFTER",
            "FACTOR_PAUSE",
        }


@pytest.mark.parametrize("listener", PROXIES)
def test_each_listener_has_a_count_of_proxies_of_its_own(
    monkeypatch: pytest.MonkeyPatch, listener: str
) -> None:
    monkeypatch.setattr("config.settings.service.LISTENER", listener)
    for variable in set(PROXIES.values()) - {PROXIES[listener]}:
        monkeypatch.setenv(variable, "3")
    assert runpy.run_path(str(ROOT / BASE))["TRUSTED_PROXY_COUNT"] == 0
    monkeypatch.setenv(PROXIES[listener], "2")
    assert runpy.run_path(str(ROOT / BASE))["TRUSTED_PROXY_COUNT"] == 2


@pytest.mark.parametrize(("cores", "at_once"), [(1, 1), (2, 2), (3, 2), (4, 3), (16, 15)])
def test_hashes_leave_a_core_where_there_are_more_than_two(cores: int, at_once: int) -> None:
    assert runpy.run_path(str(ROOT / THREADS))["hashes_at_once"](cores) == at_once


class TestRoles:
    def test_are_added_and_replaced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(
            "STAFF_ROLES", "support = accounts.view_user; reader=credits.view_*,billing.view_plan;"
        )
        roles = runpy.run_path(str(ROOT / "config/settings/admin.py"))["STAFF_ROLES"]
        assert roles["support"] == ["accounts.view_user"]
        assert roles["reader"] == ["credits.view_*", "billing.view_plan"]
        assert set(roles) == {"support", "finance", "operator", "auditor", "reader"}

    @pytest.mark.parametrize(
        "value", ["reader", "=credits.view_*", "Reader=credits.view_*", "reader=view", "a=b.c d"]
    )
    def test_that_are_malformed_are_refused(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("STAFF_ROLES", value)
        with pytest.raises(ImproperlyConfigured, match=r"^STAFF_ROLES must have the form") as refusal:
            permissions_by_role("STAFF_ROLES")
        assert value not in str(refusal.value)


CHANGED = {
    "VERIFY_EMAIL_LIFETIME": "23h",
    "PASSWORD_RESET_LIFETIME": "59m",
    "CHANGE_EMAIL_LIFETIME": "58m",
    "UNDO_EMAIL_CHANGE_LIFETIME": "6d",
    "FACTOR_RESET_DELAY": "96h",
    "STAFF_ENROL_LIFETIME": "22h",
    "EMAIL_CODE_LIFETIME": "14m",
    "HOLD_LIFETIME": "13m",
    "REFRESH_TOKEN_LIFETIME": "10d",
}
AS_IT_STARTS = """
import django; django.setup()
from accounts.mail import tokens
from accounts.sessions.tokens import SessionRefreshToken
from credits.views.holds import Holds
from msgspec.structs import fields

print(*(time.total_seconds() / 3600 for time in (*tokens.LIFETIMES.values(), *tokens.CODE_LIFETIMES.values())))
print(*(field.default for field in fields(Holds.Body) if field.name == "expires_in"))
print(SessionRefreshToken.lifetime.days)
"""


def test_what_is_read_once_is_read_from_the_environment() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test", **CHANGED}
    told = subprocess.run(
        [sys.executable, "-c", AS_IT_STARTS],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    links, hold, refresh = told.splitlines()
    assert [float(hours) for hours in links.split()] == [23, 59 / 60, 58 / 60, 6 * 24, 96 + 24, 22, 14 / 60]
    assert (hold, refresh) == (str(13 * 60), "10")
