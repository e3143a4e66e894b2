"""A standby is read from while it is there and recent enough; otherwise the primary is, and nobody is refused."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections
from django.utils import timezone
from pytest_django import Settings

from accounts.kit import replica
from accounts.models import User
from tests.fixtures import issue_access_token
from tests.listeners import ListenerClient
from tests.standby import Standby

pytestmark = pytest.mark.django_db(transaction=True)
BEHIND = timedelta(seconds=settings.DATABASE_REPLICA_LAG + 1)


def who(older_than: Any = None) -> str:
    """Return who served a read."""

    def look(alias: str) -> str:
        ask(alias, "SELECT 1")
        return alias

    return replica.read(look, older_than=older_than)


def ask(alias: str, statement: str) -> Any:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def test_without_one_the_primary_is_read() -> None:
    assert not replica.is_named()
    assert who() == "default"


class TestReads:
    def test_go_to_the_standby(self, standby: Standby) -> None:
        assert who() == "replica"

    def test_go_to_the_primary_while_it_is_too_far_behind(self, standby: Standby) -> None:
        assert who() == "replica"
        standby.stops()
        standby.now += settings.DATABASE_REPLICA_LAG
        assert who() == "replica"
        standby.now += 2
        assert who() == "default"
        standby.catches_up()
        standby.now += 2
        assert who() == "replica"

    def test_are_never_older_than_said(self, standby: Standby, settings: Settings) -> None:
        """Read from one that follows for a while, stops while the primary writes, and follows again."""
        settings.DATABASE_REPLICA_LAG = 10
        lacks: list[float] = []  # when what it has not got was written
        seen = Counter[str]()
        for step in range(120):
            standby.now += 0.3 + step % 5 * 0.4
            if step % 40 == 10:
                standby.stops()
            elif step % 40 == 0:
                standby.catches_up()
                lacks = []
            elif step % 40 > 10:
                standby.is_written_for()
                lacks.append(standby.now)
            seen[by := who()] += 1
            assert by == "default" or not lacks or standby.now - lacks[0] <= settings.DATABASE_REPLICA_LAG
        assert min(seen["replica"], seen["default"]) > 20

    def test_ask_the_standby_that_they_read(self, standby: Standby) -> None:
        assert who() == "replica"
        standby.is_another_than(ask(replica.ALIAS, "SELECT pg_backend_pid()")[0])
        assert who() == "replica"
        connections[replica.ALIAS].close()
        assert who() == "default"

    def test_of_a_time_that_it_may_not_have_yet_go_to_the_primary(self, standby: Standby) -> None:
        assert who() == "replica"
        assert who(timezone.now()) == "default"
        assert who(timezone.now() - BEHIND) == "replica"

    def test_go_to_the_primary_where_the_standby_lacks_something(self, standby: Standby) -> None:
        def lacking(alias: str) -> str:
            if alias == replica.ALIAS:
                raise replica.Lacking
            return alias

        assert replica.read(lacking) == "default"
        assert who() == "replica"

    def test_leave_one_that_is_away_alone_for_a_while(
        self, standby: Standby, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = connections.databases[replica.ALIAS]
        with monkeypatch.context() as away:
            away.setitem(said, "HOST", "/nowhere")
            assert who() == "default"
        standby.now += 2
        assert who() == "default"
        standby.now += replica.LEFT_ALONE
        assert who() == "replica"

    def test_are_repeated_at_the_primary_when_the_standby_goes_meanwhile(self, standby: Standby) -> None:
        def end_session(alias: str) -> str:
            if alias == replica.ALIAS:
                ask(alias, "SELECT pg_terminate_backend(pg_backend_pid())")
            return alias

        assert who() == "replica"
        assert replica.read(end_session) == "default"
        assert who() == "default"
        standby.now += replica.LEFT_ALONE + 1
        assert who() == "replica"

    @pytest.mark.parametrize(
        "failure",
        [
            "DO $$ BEGIN RAISE 'it gives way to what it is replaying' USING ERRCODE = '40001'; END $$",
            "SELECT display_name FROM accounts_user",  # a migration that it has not replayed
        ],
    )
    def test_are_repeated_at_the_primary_when_the_standby_cannot_answer(
        self, standby: Standby, failure: str
    ) -> None:
        standby.run("CREATE TABLE standby.accounts_user AS SELECT id FROM public.accounts_user")

        def fail(alias: str) -> str:
            if alias == replica.ALIAS:
                ask(alias, failure)
            return alias

        assert replica.read(fail) == "default"
        assert who() == "default"
        standby.now += replica.LEFT_ALONE + 1
        assert who() == "replica"

    def test_take_no_server_that_is_not_a_standby_of_this_database(self, standby: Standby) -> None:
        standby.says("pg_is_in_recovery", "boolean", "false")
        assert who() == "default"

    def test_take_no_standby_of_another_database(self, standby: Standby) -> None:
        standby.run(
            "CREATE FUNCTION standby.pg_control_system() RETURNS TABLE (system_identifier bigint)"
            " LANGUAGE sql AS 'SELECT 1::bigint'"
        )
        assert who() == "default"


def test_a_session_that_ended_is_refused_by_the_next_call(
    standby: Standby,
    public: ListenerClient,
    internal: ListenerClient,
    verified_user: User,
    service_key: Callable[..., str],
) -> None:
    """The standby knows the session as it was half a minute ago, and is recent enough to be read."""
    token = issue_access_token(verified_user)
    phone, shop = public.with_token(token), internal.with_key(service_key("shop", "tokens:introspect"))
    for table in ("accounts_session", "accounts_user"):
        standby.keeps(table)
    assert who() == "replica"
    standby.stops()
    standby.now += settings.DATABASE_REPLICA_LAG

    assert phone.get("/v1/auth/me").status_code == 200
    assert phone.post("/v1/auth/logout").status_code == 204
    assert phone.get("/v1/auth/me").status_code == 401
    assert shop.post("/v1/tokens/introspect", {"token": token}).json() == {"active": False}
    assert who() == "replica"


@pytest.mark.parametrize("question", [replica.WRITTEN, replica.REPLAYED])
def test_the_serving_role_may_look(question: str, serving_role: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(question)


def test_metrics_tell_of_both(standby: Standby, internal: ListenerClient) -> None:
    assert who() == "replica"
    text = internal.get("/metrics").content.decode()
    assert "auth_database_up 1.0" in text
    assert "auth_replica_up 1.0" in text
    assert "auth_replica_behind_seconds 0.0" in text
    assert 'auth_replica_reads_total{by="replica"} ' in text
    standby.says("pg_is_in_recovery", "boolean", "false")
    standby.now += 2
    text = internal.get("/metrics").content.decode()
    assert "auth_database_up 1.0" in text
    assert "auth_replica_up 0.0" in text
    assert "auth_replica_behind_seconds +Inf" in text
