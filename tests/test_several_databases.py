"""DATABASE_URL may name a primary and its standbys: whichever of them takes writes is the database."""

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from config import health
from config.settings.database import _database
from config.settings.environment import postgres
from tests.listeners import ListenerClient

WRITABLE = {"target_session_attrs": "read-write"}


class TestUrl:
    @pytest.mark.parametrize(
        ("url", "hosts", "ports", "options"),
        [
            ("postgresql://app:word@a:5432,b:5433/auth", "a,b", "5432,5433", WRITABLE),
            ("postgresql://app@a,b:5433/auth", "a,b", "5432,5433", WRITABLE),
            ("postgresql://app@a,b,c/auth", "a,b,c", "", WRITABLE),
            ("postgresql://app@/auth?host=a,b&port=5432,5433", "a,b", "5432,5433", WRITABLE),
            ("postgresql://app@/auth?host=a,b&port=6432", "a,b", "6432", WRITABLE),
            ("postgresql://app@/auth?host=/run/one,/run/two", "/run/one,/run/two", "", WRITABLE),
            (
                "postgresql://app@a,b/auth?target_session_attrs=any&sslmode=require",
                "a,b",
                "",
                {"target_session_attrs": "any", "sslmode": "require"},
            ),
            ("postgresql://app@[fd00::1]:5432/auth", "fd00::1", "5432", WRITABLE),
            ("postgresql://app@a/auth", "a", "", WRITABLE),
            ("postgresql://app@/auth?host=/run/postgresql", "/run/postgresql", "", WRITABLE),
            ("postgresql://app@%2Frun%2Fpostgresql/auth", "/run/postgresql", "", WRITABLE),
            ("postgresql://app@%2Frun%2Fone:5433,two/auth", "/run/one,two", "5433,5432", WRITABLE),
            ("postgresql://app@[fd00::1]:5433,b/auth", "fd00::1,b", "5433,5432", WRITABLE),
            (
                "postgresql://app@/auth?hostaddr=192.0.2.1,192.0.2.2&port=5432,5433",
                "",
                "5432,5433",
                {"hostaddr": "192.0.2.1,192.0.2.2", **WRITABLE},
            ),
            ("postgres://a/auth?user=app&ssl=true", "a", "", {**WRITABLE, "sslmode": "require"}),
            (
                "postgresql://app@a/auth?options=-c%20work_mem%3D8MB",
                "a",
                "",
                {**WRITABLE, "options": "-c work_mem=8MB"},
            ),
            ("postgresql://app@a/auth?connect_timeout=5\n", "a", "", {**WRITABLE, "connect_timeout": "5"}),
        ],
    )
    def test_is_read_as_libpq_reads_it(
        self, url: str, hosts: str, ports: str, options: dict[str, str]
    ) -> None:
        found = postgres("DATABASE_URL", url)
        assert (found["HOST"], found["PORT"], found["OPTIONS"]) == (hosts, ports, options)
        assert (found["NAME"], found["USER"]) == ("auth", "app")

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://app@a:x/auth",
            "postgresql://app@a:1:2/auth",
            "postgresql://app@a,,b/auth",
            "postgresql://app@[fd00::1/auth",
            "postgresql://app@/auth?host=a,b,c&port=5432,5433",
            "postgresql://app@/auth?host=a&port=5432,5433",
            "postgresql://app@/auth?hostaddr=192.0.2.1,192.0.2.2&port=5432,5433,5434",
            "postgresql://app:canary@a:0/auth",
            "postgresql://app:canary@a:65536/auth",
            "postgresql://app:canary@a",
            "postgresql://app:canary@a/",
            "mysql://app:canary@a/auth",
            "host=a dbname=auth user=app password=canary",
            "postgresql://app:canary@a/auth?prepare_threshold=0",
            "postgresql://app:canary@a/auth?server_side_binding=false",
            "postgresql://app:canary@a/auth?canary=1",
            "postgresql://app:canary@a/auth?sslmode",
            "postgresql://app:canary%@a/auth",
            "postgresql://app:canary%ff@a/auth",
            "postgresql://app:canary%00@a/auth",
            "postgresql://app:word@canary@a/auth",
            "postgresql://app:word/canary@a/auth",
            "postgresql://app:canary word@a b/auth",
        ],
    )
    def test_a_malformed_one_is_refused_by_the_name_of_its_variable(self, url: str) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL ") as refusal:
            postgres("DATABASE_URL", url)
        shown = "".join(traceback.format_exception(refusal.value))
        assert url not in shown
        assert "canary" not in shown

    @pytest.mark.parametrize(
        ("written", "password"), [("a%2Cb%40c", "a,b@c"), ("a%25%2F%3A", "a%/:"), ("a,b#c?d+e", "a,b#c?d+e")]
    )
    def test_the_password_may_hold_what_separates_the_other_parts(self, written: str, password: str) -> None:
        found = postgres("DATABASE_URL", f"postgresql://app:{written}@one,two/auth")
        assert (found["PASSWORD"], found["HOST"]) == (password, "one,two")

    @pytest.mark.parametrize("hosts", ["a", "a,b"])
    def test_a_server_that_falls_silent_is_given_up_after_two_seconds(self, hosts: str) -> None:
        """Without keepalives a client that has sent its statement and waits would do so for two hours (tcp(7))."""
        options: Any = _database("DATABASE_URL", f"postgresql://app@{hosts}/auth", {})["OPTIONS"]
        silence = {
            "connect_timeout": 2,
            "keepalives_idle": 1,
            "keepalives_interval": 1,
            "tcp_user_timeout": 2000,
        }
        assert {name: options[name] for name in silence} == silence

    @pytest.mark.own_session
    def test_the_server_gives_up_a_silent_client_before_others_give_up_its_rows(self) -> None:
        database: Any = settings.DATABASES["default"]
        said = str(database["OPTIONS"]["options"])
        chosen = dict(one.split("=") for one in said.split("-c ") if one)
        chosen = {name: value.strip() for name, value in chosen.items()}
        assert (chosen["tcp_keepalives_idle"], chosen["tcp_keepalives_interval"]) == ("1", "1")
        assert int(chosen["tcp_user_timeout"]) < 1000 * int(chosen["lock_timeout"].removesuffix("s"))

    def test_options_of_the_url_come_after_ours(self) -> None:
        """The last word on a setting holds; the time-outs that the URL does not name stay."""
        url = "postgresql://app@a/auth?options=-c%20work_mem%3D8MB%20-c%20lock_timeout%3D9s"
        options: Any = _database("DATABASE_URL", url, {"lock_timeout": "3s", "timezone": "UTC"})["OPTIONS"]
        said = dict(one.split("=") for one in options["options"].split("-c ") if one)
        assert {name: value.strip() for name, value in said.items()} == {
            "timezone": "UTC",
            "work_mem": "8MB",
            "lock_timeout": "9s",
        }

    def test_a_pooler_is_sent_no_options_and_no_prepared_statements_where_it_would_lose_them(self) -> None:
        url = "postgresql://app@pooler:6432/auth"
        pooled: Any = _database("DATABASE_URL", url, {"lock_timeout": "3s"}, pooled=True, prepared=False)
        kept: Any = _database("DATABASE_URL", url, {"lock_timeout": "3s"}, pooled=True)
        assert "options" not in pooled["OPTIONS"]
        assert (pooled["OPTIONS"]["prepare_threshold"], kept["OPTIONS"]["prepare_threshold"]) == (None, 5)
        with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL contains options"):
            _database("DATABASE_URL", f"{url}?options=-c%20work_mem%3D8MB", {}, pooled=True)

    def test_two_silent_servers_are_waited_for_no_longer_than_four_seconds(self) -> None:
        assert _database("DATABASE_URL", "postgresql://app@a,b/auth", {})["OPTIONS"]["connect_timeout"] == 2  # type: ignore[index]


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first is away, the second is the tests' own."""
    connection.close()
    url = f"postgresql://app@/auth?host=/nowhere,{connection.settings_dict['HOST']}"
    named = postgres("DATABASE_URL", url)
    monkeypatch.setitem(connection.settings_dict, "HOST", named["HOST"])
    options = {**connection.settings_dict["OPTIONS"], **named["OPTIONS"]}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    health.prober.cache_clear()
    yield
    connection.close()
    health.prober.cache_clear()


@pytest.fixture
def demote() -> Iterator[Callable[[bool], None]]:
    """Until it is promoted, new sessions only read: to libpq the same as a standby's. Sessions that are open end."""
    name, host = connection.settings_dict["NAME"], connection.settings_dict["HOST"]

    def only_reads(wanted: bool) -> None:
        with psycopg.connect(
            host=host, dbname="postgres", user=connection.settings_dict["USER"], autocommit=True
        ) as other:
            value = "on" if wanted else "off"
            other.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}')
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,)
            )

    yield only_reads
    only_reads(False)


@pytest.mark.django_db(transaction=True)
class TestServing:
    def test_the_next_one_serves_while_the_first_is_away(
        self, several: None, public: ListenerClient, make_user: Any
    ) -> None:
        user = make_user()
        assert public.get(f"/v1/auth/users/{user.pk}").status_code == 200
        assert public.get("/readyz").status_code == 200

    @pytest.mark.parametrize(
        ("asked_for", "status"),
        [
            ("read-write", 503),
            ("primary", 503),  # which it is to libpq, as is any server behind a pooler
            ("any", 200),
        ],
    )
    def test_a_single_server_that_only_reads_is_not_ready(
        self,
        demote: Callable[[bool], None],
        public: ListenerClient,
        monkeypatch: pytest.MonkeyPatch,
        asked_for: str,
        status: int,
    ) -> None:
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "target_session_attrs", asked_for)
        health.prober.cache_clear()
        demote(True)
        answer = public.get("/readyz")
        database = "ok" if status == 200 else "unreachable"
        assert (answer.status_code, answer.json()["checks"]["database"]) == (status, database)
        demote(False)
        assert public.get("/readyz").status_code == 200

    @pytest.mark.own_session
    def test_a_standby_is_no_database_until_it_is_promoted(
        self, demote: Callable[[bool], None], several: None, public: ListenerClient, make_user: Any
    ) -> None:
        user = make_user()
        demote(True)
        refused = public.get(f"/v1/auth/users/{user.pk}")
        assert (refused.status_code, refused.json()["code"]) == (503, "service_unavailable")
        assert refused.headers["Retry-After"]
        answer = public.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "unreachable")
        demote(False)
        assert public.get("/readyz").status_code == 200
        assert public.get(f"/v1/auth/users/{user.pk}").status_code == 200
