"""A bad number in the environment is refused by the name of its variable, and its value is not shown."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
BASE, DEV, GUNICORN = "config/settings/base.py", "config/settings/dev.py", "deploy/gunicorn.py"
LIMITS, STRIPE = "config/settings/limits.py", "config/settings/stripe.py"
PROXIES = {
    "public": "TRUSTED_PROXY_COUNT",
    "internal": "INTERNAL_TRUSTED_PROXY_COUNT",
    "admin": "ADMIN_TRUSTED_PROXY_COUNT",
}
THREADS = "config/settings/threads.py"
READ_BY = {
    "TRUSTED_PROXY_COUNT": BASE,
    "INTERNAL_TRUSTED_PROXY_COUNT": BASE,
    "ADMIN_TRUSTED_PROXY_COUNT": BASE,
    "PASSWORD_MIN_LENGTH": BASE,
    "PASSWORD_HASHING_CONCURRENCY": THREADS,
    "PASSWORD_HASHING_QUEUE": THREADS,
    "PASSWORD_HASHING_PATIENCE": THREADS,
    "CREDITS_APPROVAL_LIMIT": BASE,
    "RATE_LIMITS_FACTOR": LIMITS,
    "STRIPE_CONCURRENCY": STRIPE,
    "STRIPE_QUEUE": STRIPE,
    "STRIPE_PATIENCE": STRIPE,
    "PORT": DEV,
    "INTERNAL_PORT": DEV,
    "ADMIN_PORT": DEV,
    "SESSIONS_PER_USER": BASE,
    "REFRESH_RETRY_MINUTES": BASE,
    "WEB_CONCURRENCY": GUNICORN,
    "WEB_THREADS": THREADS,
    "WORKER_CONCURRENCY": BASE,
}


def read(variable: str) -> dict[str, Any]:
    return runpy.run_path(str(ROOT / READ_BY[variable]))


@pytest.mark.parametrize("variable", READ_BY)
class TestEveryNumber:
    @pytest.mark.parametrize("value", ["abc", "1e3", "-1", "nan", "inf", "0x10", "1,5", "9" * 5000])
    def test_with_a_bad_value_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(ImproperlyConfigured, match=rf"^{variable} must be a (whole )?number") as refusal:
            read(variable)
        assert value not in str(refusal.value)
        assert refusal.value.__cause__ is None

    @pytest.mark.parametrize("value", ["", " "])
    def test_without_a_value_is_the_default(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
    ) -> None:
        monkeypatch.delenv(variable, raising=False)
        numbers = {name: one for name, one in read(variable).items() if isinstance(one, int | float)}
        monkeypatch.setenv(variable, value)
        again = read(variable)
        assert {name: again[name] for name in numbers} == numbers


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PASSWORD_MIN_LENGTH", "7"),
        ("PASSWORD_MIN_LENGTH", "257"),
        ("PASSWORD_HASHING_CONCURRENCY", "0"),
        ("STRIPE_CONCURRENCY", "0"),
        ("RATE_LIMITS_FACTOR", "0"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_THREADS", "0"),
        ("WORKER_CONCURRENCY", "0"),
    ],
)
def test_one_out_of_bounds_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ImproperlyConfigured, match=rf"^{variable} must be a whole number"):
        read(variable)


@pytest.mark.parametrize(
    ("variable", "value", "number"),
    [
        ("PASSWORD_HASHING_PATIENCE", "0", 0.0),
        ("PASSWORD_HASHING_PATIENCE", "2", 2.0),
        ("STRIPE_PATIENCE", " 0.25 ", 0.25),
        ("PASSWORD_MIN_LENGTH", "8", 8),
        ("PASSWORD_MIN_LENGTH", "256", 256),
        ("CREDITS_APPROVAL_LIMIT", "0", 0),
    ],
)
def test_one_within_them_is_read(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, number: float
) -> None:
    monkeypatch.setenv(variable, value)
    assert read(variable)[variable] == number


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


def test_the_table_above_has_every_number_and_nothing_else_reads_one() -> None:
    sources = [*(ROOT / "config" / "settings").glob("*.py"), ROOT / GUNICORN]
    texts = [source.read_text() for source in sources]
    assert not [
        text for text in texts if re.search(r"env\.(int|float|decimal)\(|(int|float)\((os\.|env)", text)
    ]
    found = {name for text in texts for name in re.findall(r"(?:integer|decimal|port)\(\s*\"(\w+)\"", text)}
    assert found == set(READ_BY)


@pytest.mark.parametrize(("cores", "at_once"), [(1, 1), (2, 2), (3, 2), (4, 3), (16, 15)])
def test_hashes_leave_a_core_where_there_are_more_than_two(cores: int, at_once: int) -> None:
    assert runpy.run_path(str(ROOT / THREADS))["hashes_at_once"](cores) == at_once
