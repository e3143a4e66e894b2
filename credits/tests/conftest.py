import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from accounts.management.commands.migrate import owner_connection
from accounts.models import User
from accounts.service_keys import registry
from credits.ledger import shards, verify
from credits.ledger.calls import Call, request_bytes
from credits.partitions import shape
from credits.tests.by_holder import watched
from tests.template_database import another_database, instead

PARTITIONS = 4
# Who may ask without a holder, and about whom. A folder's name stands for all in it.
FAN_OUTS = {
    "credits/ledger/sweeping.py::due_users": "everybody with something due",
    "credits/days.py::": "a day of everybody, and who used most",
    "credits/ledger/verify.py::": "everybody in the order of their ids, and rows without a balance",
    "credits/management/commands/verify_ledger.py::_to_mend": "everybody, in the tables of the version before",
    "accounts/kit/replica.py::<lambda>": "everybody, for an anchor",
    "credits/partitions/": "everybody's rows, copied and compared",
    "accounts/upkeep/retention.py::": "everybody who owns something",
    "credits/admin/": "what staff list, and rows by their ids",
    "accounts/admin/": "what staff list, and rows by their ids",
    "config/paging.py::page": "a service's rows",
    "credits/export.py::newest_first": "a service's rows",
    "credits/history.py::<lambda>": "a service's rows",
    # A public id, which says whose it is; what follows names the holder.
    "credits/ledger/holds.py::_find": "a hold",
    "credits/ledger/verbs.py::refund": "a use",
    "credits/views/batch.py::__init__": "holds and uses",
    "credits/views/holds.py::get": "a hold",
    "credits/views/journal.py::get": "a transaction",
}


@pytest.fixture(autouse=True)
def _every_statement_names_the_holder() -> Iterator[None]:
    with watched(FAN_OUTS) as found:
        yield
    assert not found


@pytest.fixture(scope="session")
def database_in_partitions(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Give the name of a database whose journal and lots are cut into partitions."""
    with django_db_blocker.unblock():
        require_one_server()
    with django_db_blocker.unblock(), another_database("parts") as name:
        with instead(name), owner_connection():
            for table in shape.TABLES:
                if not shape.partitions(table):
                    shape.reshape(table, PARTITIONS)
        yield name


@pytest.fixture(scope="module", params=["whole", "in partitions"])
def each_shape(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever uses it is run twice. `LEDGER_PARTITIONS=4 script/test credits` runs everything in partitions."""
    if request.param == "whole":
        yield
    else:
        with instead(request.getfixturevalue("database_in_partitions")):
            yield


@pytest.fixture
def person(db: None, request: pytest.FixtureRequest) -> Iterator[User]:
    """Someone with credits. Whatever the test did, at its end their ledger must add up."""
    user = User.objects.create_user("person@example.test")
    yield user
    if "broken_on_purpose" not in request.keywords:
        assert list(verify.verify_user(user.pk).findings) == []


@pytest.fixture
def call() -> Callable[..., Call]:
    """A call of the service `shop`; without a key each is a new one."""

    def make(key: str | None = None, *, service: str = "shop", fields: object = None, **texts: Any) -> Call:
        return Call(
            service=service,
            key=key or str(uuid.uuid4()),
            request=request_bytes("test", fields=fields),
            **texts,
        )

    return make


@pytest.fixture
def keys_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reading of the key table in the middle of a test that counts statements."""
    monkeypatch.setattr(registry, "REFRESH_SECONDS", 3600)


@pytest.fixture
def one_server(db: None) -> None:
    """Leave out what is so on one server alone: a plan, a table as Django makes it, all users in one statement."""
    require_one_server()


def require_one_server() -> None:
    if shards.is_distributed():
        pytest.skip("of one server, and the ledger is distributed")


READ_SETTING = """
CREATE OR REPLACE FUNCTION credits_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$SELECT current_setting('test.now')::timestamptz$$
"""


STOPPED = """
CREATE OR REPLACE FUNCTION credits_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$SELECT '{}'::timestamptz$$
"""


class Clock:
    """The ledger's clock, stopped, in the hands of a test: the one SQL function that every statement reads."""

    START = datetime.fromisoformat("2030-01-01T00:00:00+00:00")

    def __init__(self) -> None:
        self.now = self.START
        self._set()
        if not shards.is_distributed():
            with connection.cursor() as cursor:
                cursor.execute(READ_SETTING)

    def advance(self, **duration: float) -> datetime:
        self.now += timedelta(**duration)
        self._set()
        return self.now

    def _set(self) -> None:
        with connection.cursor() as cursor:
            if shards.is_distributed():  # a setting of this session is not one of the others'
                cursor.execute(STOPPED.format(self.now.isoformat()))
            else:
                cursor.execute("SELECT set_config('test.now', %s, false)", [self.now.isoformat()])


@pytest.fixture
def clock(db: None) -> Clock:
    """Stop the ledger's clock at the start of 2030. The test's transaction takes the change back with it."""
    return Clock()
