"""Tries what the database itself refuses: rewriting history, money out of nothing, spending past an expiry."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.models import User
from credits import ledger
from credits.ledger import clock, one_statement, verify
from credits.ledger.calls import Call
from credits.models import CreditTransaction, UserCredit
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("each_shape")


def execute(sql, *parameters):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)


@pytest.mark.django_db
class TestJournal:
    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE credits_credittransaction SET amount = amount + 1",
            "UPDATE credits_credittransaction SET description = 'another'",
            "UPDATE credits_credittransaction SET description = NULL",
            "DELETE FROM credits_credittransaction",
            "TRUNCATE credits_credittransaction",
            "DELETE FROM credits_creditlot",
            "DELETE FROM credits_usercredit",
        ],
    )
    def test_is_append_only_even_for_its_owner(self, person, call, change):
        ledger.add(user_id=person.pk, amount=100, call=call(description="a gift"))

        with pytest.raises(DatabaseError, match="append-only"):
            execute(change)

        assert CreditTransaction.objects.get().amount == 100

    def test_texts_can_be_erased_and_the_chain_still_holds(self, person, call):
        ledger.add(user_id=person.pk, amount=100, call=call(description="for Ada", reference="order-1"))

        execute("SELECT credits_erase_texts(%s)", person.pk)

        row = CreditTransaction.objects.get()
        assert (row.description, row.reference, row.salt) == (None, None, None)
        assert not verify.verify_user(person.pk).findings


@pytest.mark.django_db
class TestConstraints:
    @pytest.mark.parametrize(
        ("change", "constraint"),
        [
            ("balance = -1", "credit_no_overdraft"),
            ("held = 101", "credit_no_overdraft"),
            ("held = -1", "credit_nothing_negative"),
            ("debt = -1, balance = 1, open_left = 0", "credit_nothing_negative"),
            ("open_left = -1", "credit_nothing_negative"),
            ("debt = 1", "credit_debt_only_when_nothing_is_left"),
            ("open_left = 101", "credit_no_overdraft"),
            ("open_lot = NULL", "credit_open_grant"),
            ("balance = 9007199254740992", "credit_balance_limit"),
        ],
    )
    def test_a_balance_row_that_cannot_be_is_refused(self, person, call, change, constraint):
        ledger.add(user_id=person.pk, amount=100, call=call())

        with pytest.raises(IntegrityError, match=constraint):
            execute(f"UPDATE credits_usercredit SET {change}")


@pytest.mark.django_db
@pytest.mark.broken_on_purpose
class TestVerify:
    @pytest.mark.parametrize(
        ("tampering", "finding"),
        [
            ("UPDATE credits_credittransaction SET amount = 101 WHERE type = 'bonus'", "balance"),
            ("UPDATE credits_credittransaction SET service = 'other' WHERE type = 'use'", "hash"),
            ("UPDATE credits_credittransaction SET description = 'altered' WHERE type = 'bonus'", "text"),
            ("UPDATE credits_credittransaction SET lots = '[]' WHERE type = 'use'", "lots"),
            ("DELETE FROM credits_credittransaction WHERE type = 'use'", "head"),
            ("DELETE FROM credits_credittransaction WHERE type = 'bonus'", "hash"),
            ("UPDATE credits_usercredit SET balance = balance + 1", "head"),
            ("UPDATE credits_usercredit SET open_left = open_left - 1", "lot"),
            ("UPDATE credits_creditlot SET remaining = 1 WHERE remaining = 0", "lot"),
            ("UPDATE credits_creditlot SET expired = 31", "overfull"),
            ("DELETE FROM credits_usercredit", "no balance row"),
        ],
    )
    def test_names_what_somebody_with_all_powers_changed(self, person, call, tampering, finding):
        ledger.add(user_id=person.pk, amount=100, call=call(description="a gift"))
        ledger.use(user_id=person.pk, amount=30, call=call())
        with transaction.atomic():
            execute("SET LOCAL session_replication_role = replica")
            execute(tampering)
            execute("SET LOCAL session_replication_role = DEFAULT")

        found = [row.finding for checked in verify.verify_all() for row in checked.findings]

        assert finding in found

    def test_finds_nothing_where_nothing_was_changed(self, person, call):
        ledger.add(user_id=person.pk, amount=100, call=call(description="a gift"))
        hold = ledger.hold(user_id=person.pk, amount=5, lifetime=timedelta(hours=1), call=call())
        ledger.capture(hold_id=hold.pk, amount=3, call=call())

        checked = list(verify.verify_all())

        assert [row.transactions for row in checked] == [3, 0]
        assert not any(row.findings for row in checked)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("one_server")  # the wait is on the server of the row
class TestVerifyBesideWrites:
    """Where one statement is not one snapshot, it sees a commit by halves."""

    def test_what_is_half_committed_under_a_lock_is_not_reported(self):
        user = User.objects.create_user("writer@example.test")
        ledger.add(user_id=user.pk, amount=100, call=Call(service="shop"))
        UserCredit.objects.update(open_left=90)  # one half: here it is seen without the other
        results = []
        verifier = threading.Thread(
            target=lambda: results.append(in_own_connection(verify.verify_user, user.pk))
        )

        with transaction.atomic():
            UserCredit.objects.update(open_left=100)
            verifier.start()
            eventually(somebody_waits_for_us, "the second look")
        verifier.join()

        assert [list(checked.findings) for checked in results] == [[]]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("one_server")  # the wait is on the server of the row
class TestLockWait:
    """A spend that waits for the row decides by the time after the wait."""

    @pytest.mark.parametrize("holder_changes_the_row", [True, False])
    def test_never_outlives_an_expiry(self, holder_changes_the_row):
        user = User.objects.create_user("waiter@example.test")
        expires_at = clock.now() + timedelta(seconds=2)
        ledger.add(user_id=user.pk, amount=100, expires_at=expires_at, call=Call(service="shop"))
        results = []
        waiter = threading.Thread(target=lambda: results.append(in_own_connection(try_to_spend, user.pk)))

        with transaction.atomic():
            row = UserCredit.objects.select_for_update().get(pk=user.pk)
            waiter.start()
            if holder_changes_the_row:
                UserCredit.objects.filter(pk=user.pk).update(alert_below=None, open_left=row.open_left)
            eventually(somebody_waits_for_us, "the wait for the row")
            eventually(lambda: clock.now() > expires_at, "the expiry")
        waiter.join()

        assert results == [None]
        assert not CreditTransaction.objects.filter(type="use").exists()


def somebody_waits_for_us():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        )
        return cursor.fetchone() is not None


def try_to_spend(user_id: uuid.UUID):
    return one_statement.use(user_id=user_id, amount=10, call=Call(service="shop"))


def in_own_connection(function, *arguments):
    try:
        return function(*arguments)
    finally:
        connection.close()
