"""The one statement of a usual use: what it returns, and what becomes of its connection when it fails."""

from uuid import uuid4

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from credits import ledger
from credits.ledger import one_statement
from credits.ledger.calls import Call, request_bytes
from credits.models import CreditTransaction, UserCredit

pytestmark = pytest.mark.django_db(transaction=True)

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


@pytest.mark.parametrize("texts", [{}, {"description": "d", "reference": "r", "metadata": {"a": [1]}}])
def test_returns_the_row_as_the_journal_has_it(rich: User, texts: dict[str, object]) -> None:
    used = use(rich, **texts)
    stored = CreditTransaction.objects.get(pk=used.pk)
    assert {name: getattr(used, name) for name in COLUMNS} == {
        name: getattr(stored, name) for name in COLUMNS
    }


def test_is_one_statement_and_the_answer_asks_for_no_other(rich: User) -> None:
    with CaptureQueriesContext(connection) as asked:
        used = use(rich)
        assert (used.type, used.amount, used.refund_of, used.hold, used.replayed) == (
            "use", -1, None, None, False)  # fmt: skip
    assert len(asked) == 1


def test_a_lost_connection_is_an_outage_for_django_and_the_next_use_has_another(rich: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    other.close()
    with pytest.raises(OperationalError):
        use(rich)
    assert connection.errors_occurred
    connection.close_if_unusable_or_obsolete()
    assert use(rich).balance == 99


def test_opens_the_connection_if_there_is_none(rich: User) -> None:
    connection.close()
    assert use(rich).balance == 99


def test_a_refused_row_does_not_end_the_transaction_around_it(rich: User) -> None:
    """The twin violates the unique key only where the other has committed since; a wrong service does so at once."""
    too_long = Call(service="s" * 41, key="k", request=b"")
    with transaction.atomic():
        before = use(rich)
        with pytest.raises(Exception, match="too long"):
            one_statement.use(user_id=rich.pk, amount=1, call=too_long)
        assert UserCredit.objects.get(pk=rich.pk).balance == before.balance == 99
