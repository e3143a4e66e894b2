"""Ledgers that earlier versions left with grants holding more than they can, brought to this version.

Those versions gave what came back from repaid debt to the grant that had been charged back, whatever it held.
"""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from structlog.testing import capture_logs

from accounts.models import User
from credits import ledger
from credits.ledger import balance, verify
from credits.ledger.posting import LockedAccount, lock, sweep_user
from credits.ledger.saving import save
from credits.models import CreditLot, CreditTransaction, UserCredit

pytestmark = [pytest.mark.django_db, pytest.mark.broken_on_purpose]
BEFORE, AFTER = ("credits", "0006_admin_lists"), ("credits", "0007_no_grant_is_overfull")


@pytest.fixture
def migrate(db):
    """Brings the tables of credits to a migration, within the transaction of the test."""

    def to(target):
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        MigrationExecutor(connection).migrate([target])

    return to


@pytest.fixture
def give_as_before(clock, call):
    """Adds a journal row as earlier versions wrote it: all of it goes back to this grant."""

    def give(user, type_, lot, credits, *, restored=0, refund_of=None):
        with transaction.atomic():
            account = LockedAccount(lock(user.pk), now=clock.now)
            account.sweep()
            grant = account.lot(lot.pk)
            grant.remaining += credits
            grant.charged_back -= restored
            account.post(type_, [(grant, credits)], call=call(), refund_of=refund_of)
            save([account])

    return give


@pytest.fixture
def story(call, clock, give_as_before):
    """Bought and used, disputed, the debt paid by another grant, the dispute won, the old use refunded."""

    def tell(user, *, expires_at=None):
        bought = ledger.add(user_id=user.pk, amount=500, type="purchase", expires_at=expires_at, call=call())
        used = ledger.use(user_id=user.pk, amount=500, call=call())
        ledger.charge_back(user_id=user.pk, granted_by=bought.pk, amount=500, call=call())
        ledger.add(user_id=user.pk, amount=2200, type="purchase", call=call())
        lot = CreditLot.objects.get(transaction=bought)
        give_as_before(user, "chargeback", lot, 500, restored=500, refund_of=bought)
        give_as_before(user, "refund", lot, 200, refund_of=used)
        return lot

    return tell


def findings(user):
    return [(row.finding, row.place) for row in verify.verify_user(user.pk).findings]


def journal(user):
    return list(CreditTransaction.objects.filter(user=user).order_by("at").values_list("pk", "hash"))


class TestAnOverfullGrant:
    def test_is_found_before_the_migration_and_mended_by_it(self, person, call, migrate, story):
        migrate(BEFORE)
        lot = story(person)
        assert findings(person) == [("overfull", str(lot.pk))]
        before = journal(person)

        with capture_logs() as lines:
            migrate(AFTER)

        assert findings(person) == []
        assert journal(person)[: len(before)] == before
        mended = CreditTransaction.objects.filter(user=person).latest("at")
        made = CreditLot.objects.get(transaction=mended)
        assert (mended.type, mended.amount, mended.service) == ("adjustment", 0, "system")
        assert mended.lots == [[lot.pk, -200], [made.pk, 200]]
        assert (made.source, made.issued, made.priority, made.expires_at) == ("refund", 200, 50, None)
        report = {"user_id": str(person.pk), "grant": lot.pk, "made": made.pk, "credits": 200}
        assert [line for line in lines if line["event"] == "grant_mended"] == [
            {"event": "grant_mended", "log_level": "warning", **report}
        ]

    def test_can_be_given_to_and_spent_from_again(self, person, call, migrate, story):
        migrate(BEFORE)
        story(person)
        with pytest.raises(IntegrityError), transaction.atomic():
            ledger.add(user_id=person.pk, amount=10, type="bonus", call=call())

        migrate(AFTER)

        ledger.add(user_id=person.pk, amount=10, type="bonus", call=call())
        assert balance.current(person.pk).balance == 2410
        ledger.use(user_id=person.pk, amount=2410, call=call())
        assert findings(person) == []

    def test_that_expired_with_too_much_is_mended_too(self, person, call, clock, migrate, story):
        migrate(BEFORE)
        lot = story(person, expires_at=clock.now + timedelta(hours=1))
        clock.advance(hours=2)
        sweep_user(person.pk)
        lot.refresh_from_db()
        assert lot.expired == 700

        migrate(AFTER)

        lot.refresh_from_db()
        made = CreditLot.objects.get(user=person, source="refund")
        assert (lot.expired, made.issued, made.expired, made.remaining) == (500, 200, 200, 0)
        assert findings(person) == []
        assert balance.current(person.pk).balance == 1700

    def test_that_is_due_expires_at_its_own_time(self, person, call, clock, migrate, story):
        migrate(BEFORE)
        due = clock.now + timedelta(hours=1)
        story(person, expires_at=due)
        clock.advance(hours=2)

        migrate(AFTER)
        sweep_user(person.pk)

        expiries = CreditTransaction.objects.filter(user=person, type="expiry").order_by("at")
        assert [(row.amount, row.at - due) for row in expiries] == [
            (-500, timedelta(0)),
            (-200, timedelta(microseconds=1)),
        ]
        assert findings(person) == []

    def test_is_mended_beside_a_hold_and_a_grant_that_is_sound(
        self, person, call, clock, migrate, give_as_before
    ):
        migrate(BEFORE)
        bought = ledger.add(user_id=person.pk, amount=100, type="purchase", call=call())
        ledger.add(user_id=person.pk, amount=200, type="purchase", call=call())
        hold = ledger.hold(user_id=person.pk, amount=40, lifetime=timedelta(hours=1), call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=80, call=call())
        lot = CreditLot.objects.get(transaction=bought)
        give_as_before(person, "adjustment", lot, 30)

        migrate(AFTER)

        assert findings(person) == []
        ledger.capture(hold_id=hold.pk, amount=15, call=call())
        assert findings(person) == []

    def test_leaves_everybody_else_alone(self, person, call, migrate, story):
        other = User.objects.create_user("other@example.test")
        migrate(BEFORE)
        story(person)
        ledger.add(user_id=other.pk, amount=10, call=call())
        before = journal(other)

        migrate(AFTER)

        assert journal(other) == before


class TestTheDatabase:
    """It refuses what no correct writer would do."""

    def test_a_lot_that_holds_more_than_it_can(self, person, call):
        ledger.add(user_id=person.pk, amount=100, type="purchase", call=call())
        ledger.add(user_id=person.pk, amount=100, type="bonus", call=call())
        with pytest.raises(IntegrityError, match="lot_within_its_issue"), transaction.atomic():
            CreditLot.objects.filter(source="purchase").update(expired=1)

    def test_an_open_grant_that_holds_more_than_it_can(self, person, call):
        ledger.add(user_id=person.pk, amount=100, type="purchase", call=call())
        ledger.add(user_id=person.pk, amount=100, type="bonus", call=call())
        with pytest.raises(IntegrityError, match="more than it can"), transaction.atomic():
            UserCredit.objects.update(open_left=101)
