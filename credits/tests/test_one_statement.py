"""The one statement of a usual use: what it returns, and what becomes of its connection when it fails."""

from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest
from django.db import DataError, OperationalError, connection, connections, transaction
from django.db.backends.postgresql.base import ServerBindingCursor
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from credits import ledger
from credits.ledger import one_statement, verify
from credits.ledger.calls import Call, request_bytes
from credits.models import CreditTransaction, UserCredit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("each_shape")]

COLUMNS = [field.attname for field in CreditTransaction._meta.concrete_fields]


def call(**texts: object) -> Call:
    return Call(service="shop", key=str(uuid4()), request=request_bytes("test", fields=None), **texts)  # type: ignore[arg-type]


@pytest.fixture
def rich() -> User:
    user: User = User.objects.create_user("rich@example.test")
    ledger.add(user_id=user.pk, amount=100, call=call())
    return user


def use(user: User, **texts: object) -> CreditTransaction:
    used = one_statement.use(user_id=user.pk, amount=1, call=call(**texts))
    assert used is not None
    return used


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"description": "", "reference": "ré", "metadata": {}},
        {"metadata": {"a": [1, "ü"]}},
        {"feature": "picture", "quantity": 1, "unit_price": 1},
    ],
)
def test_returns_the_row_as_the_journal_has_it(rich: User, texts: dict[str, object], watched: bool) -> None:
    with CaptureQueriesContext(connection) if watched else nullcontext():
        used = use(rich, **texts)
    stored = CreditTransaction.objects.get(pk=used.pk)
    assert {name: getattr(used, name) for name in COLUMNS} == {
        name: getattr(stored, name) for name in COLUMNS
    }
    assert list(verify.verify_user(rich.pk).findings) == []


def test_is_one_statement_and_the_answer_asks_for_no_other(rich: User) -> None:
    with CaptureQueriesContext(connection) as asked:
        used = use(rich)
        assert (used.type, used.amount, used.refund_of, used.hold, used.replayed) == (
            "use", -1, None, None, False)  # fmt: skip
    assert len(asked) == 1


@pytest.mark.own_session
def test_a_lost_connection_is_an_outage_for_django_and_the_next_use_has_another(rich: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s::int, 5000)", (pid,))
    other.close()
    with pytest.raises(OperationalError):
        use(rich)
    assert connection.errors_occurred
    connection.close_if_unusable_or_obsolete()
    assert use(rich).balance == 99


def test_opens_the_connection_if_there_is_none(rich: User) -> None:
    connection.close()
    assert use(rich).balance == 99


@pytest.mark.own_session
def test_is_prepared_again_when_the_driver_has_dropped_all_that_was_prepared(rich: User) -> None:
    use(rich)
    assert b"credits_use" in prepared()
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")  # as after each ROLLBACK
    assert use(rich).balance == 98
    assert b"credits_use" in prepared()


def prepared() -> set[bytes]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements")
        return {name.encode() for (name,) in cursor.fetchall()}


def test_passes_by_no_cursor_that_somebody_has_put_in_place_of_djangos(rich: User) -> None:
    """Tracers do."""
    seen = []

    class Traced(ServerBindingCursor):
        def execute(self, query: str, *arguments: object, **options: object) -> object:
            seen.append(query)
            return super().execute(query, *arguments, **options)  # type: ignore[misc]

    connection.connection.cursor_factory = Traced
    use(rich)
    assert seen == [one_statement.STATEMENT]


@pytest.mark.usefixtures("one_server")  # on several, the index that is looked into is on another
def test_looks_a_key_up_by_the_whole_index_however_small_the_journal_seems(rich: User) -> None:
    """Else the plan that a connection has kept reads all rows of a holder, who has millions by then."""
    with transaction.atomic():
        for _ in range(USES):  # after five PostgreSQL keeps one plan for all values
            use(rich)
        assert scans("transaction_once_by_key") >= USES > scans("transaction_one_at_a_time")


USES = 8
SCANS = """
SELECT sum(pg_stat_get_xact_numscans(oid)) FROM pg_class
WHERE oid = %(index)s::regclass OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(index)s::regclass)
"""


def scans(index: str) -> int:
    """How often this transaction looked into an index."""
    with connection.cursor() as cursor:
        cursor.execute(SCANS, {"index": index})
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("text", ["key", "description"])
def test_a_text_with_a_nul_is_refused_and_not_cut(rich: User, text: str) -> None:
    given: dict[str, Any] = {"service": "shop", "key": "k", "request": b"", text: "a\0b"}
    cut = Call(**given)
    with pytest.raises(DataError):
        one_statement.use(user_id=rich.pk, amount=1, call=cut)
    assert UserCredit.objects.get(pk=rich.pk).balance == 100


def test_a_refused_row_does_not_end_the_transaction_around_it(rich: User) -> None:
    """The twin violates the unique key only where the other has committed since; a wrong service does so at once."""
    too_long = Call(service="s" * 41, key="k", request=b"")
    with transaction.atomic():
        before = use(rich)
        with pytest.raises(Exception, match="too long"):
            one_statement.use(user_id=rich.pk, amount=1, call=too_long)
        assert UserCredit.objects.get(pk=rich.pk).balance == before.balance == 99
