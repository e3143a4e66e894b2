"""Ledgers of earlier versions, brought to this one: proved, mended where they were broken, and spent from.

`ledger_before.sql` is what the version before migration 0007 wrote, in the first hours of 2030 by the tests' clock:
holds, a debt, expired grants, a user who was erased with credits left, and four grants that hold more than they can.
Those versions gave what came back from repaid debt to the grant that had been charged back, whatever it held.
"""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from structlog.testing import capture_logs

from accounts.errors import UserNotFound
from credits import ledger
from credits.ledger import balance, verify
from credits.ledger.posting import sweep_user
from credits.models import VERSION, CreditLot, CreditTransaction, UserCredit
from credits.tests.conftest import Clock, require_one_server

# Tables as they were, and what migrations do with them: they are distributed when all that is done.
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.broken_on_purpose,
    pytest.mark.usefixtures("one_server"),
]
NAMES = ("plain", "expired", "due", "beside", "sound", "debtor", "lapsed", "holding", "erased")
PEOPLE = {name: UUID(int=number) for number, name in enumerate(NAMES, 1)}
BROKEN = NAMES[:4]
ROWS = Path(__file__).with_name("ledger_before.sql").read_text()
TABLES = ("accounts_user", "credits_creditlot", "credits_credittransaction", "credits_usercredit")
COLUMNS = """
SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
    AND attidentity <> 'a'
"""
NEXT_LOT = "SELECT setval(pg_get_serial_sequence('credits_creditlot', 'id'), 2000000)"
JOURNAL = "SELECT user_id, id, hash FROM credits_credittransaction ORDER BY user_id, at"


@pytest.fixture(scope="module")
def story(django_db_setup, django_db_blocker):
    """The ledger before and after the migrations, and what they logged. They run once, in a transaction taken back."""
    with django_db_blocker.unblock():
        require_one_server()
    with django_db_blocker.unblock(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL idle_in_transaction_session_timeout = 0"
        )  # the migrations' state takes its time
        clock = Clock()
        clock.advance(hours=2)
        _migrate("0006_admin_lists")
        for statement in ROWS.split(";\n"):
            if statement.strip():
                cursor.execute(statement)
        cursor.execute(NEXT_LOT)
        cursor.execute(JOURNAL)
        before, listed = cursor.fetchall(), _to_mend()
        cursor.execute(JOURNAL)
        assert cursor.fetchall() == before  # it was only listed
        with capture_logs() as lines:
            _migrate("0013_fewer_checks")
        after = [row for table in TABLES for row in _as_inserts(cursor, table)]
        transaction.set_rollback(True)
    return before, after, lines, listed


def _to_mend():
    """Return whom the command lists; it ends with 1, since there are some."""
    out = StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("verify_ledger", "--before-migrate", "--json", stdout=out)
    return json.loads(out.getvalue())["findings"]


def _migrate(name):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    MigrationExecutor(connection).migrate([("credits", name)])


def _as_inserts(cursor, table):
    cursor.execute(COLUMNS, [table])
    columns = [name for (name,) in cursor.fetchall()]
    values = " || ', ' || ".join(f"quote_nullable({name})" for name in columns)
    cursor.execute(f"SELECT {values} FROM {table}")
    return [f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({row})" for (row,) in cursor.fetchall()]


@pytest.fixture
def before(story):
    return story[0]


@pytest.fixture
def migrated(story, clock):
    """That ledger in this test's tables, two hours after it began; gives what the migrations logged."""
    clock.advance(hours=2)
    with connection.cursor() as cursor:
        for row in story[1]:
            cursor.execute(row)
    return story[2]


def findings(name):
    return [(row.finding, row.place) for row in verify.verify_user(PEOPLE[name]).findings]


def journal(name):
    return CreditTransaction.objects.filter(holder_id=PEOPLE[name]).order_by("at")


def grants(name, **which):
    return CreditLot.objects.filter(holder_id=PEOPLE[name], kind="grant", **which).order_by("pk")


class TestALedgerOfBefore:
    def test_is_proved_as_it_was_written(self, before, migrated):
        assert [(name, found) for name in NAMES if (found := findings(name))] == []
        after = {row.pk: bytes(row.hash) for row in CreditTransaction.objects.filter(version=None)}
        assert all(after[pk] == bytes(hash_) for _, pk, hash_ in before)

    @pytest.mark.parametrize(
        ("change", "finding"),
        [
            ("service = 'other'", ["hash"]),
            ("version = 2", ["hash", "text"]),
            ("unit_price = 1", ["text"]),
            ("feature = 'picture'", ["text"]),
        ],
    )
    def test_shows_a_change_of_its_old_rows(self, migrated, change, finding):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(f"UPDATE credits_credittransaction SET {change} WHERE key = 'use of sound'")
        assert [found for found, _ in findings("sound")] == finding

    def test_repeats_what_was_asked_before(self, migrated, call):
        again = ledger.use(user_id=PEOPLE["sound"], amount=30, call=call("use of sound"))
        assert (again.replayed, again.amount, again.balance) == (True, -30, 70)

    def test_goes_on_by_the_new_version(self, migrated, call):
        for name in ("plain", "sound", "lapsed"):
            used = ledger.use(
                user_id=PEOPLE[name], amount=1, call=call(feature="picture", quantity=1, unit_price=1)
            )
            assert journal(name).get(pk=used.pk).version == VERSION
            assert findings(name) == []

    def test_settles_the_holds_that_were_open(self, migrated, call):
        hold = CreditLot.objects.get(holder_id=PEOPLE["holding"], kind="hold", status="open")
        ledger.capture(hold_id=hold.transaction_id, amount=15, call=call())
        assert balance.current(PEOPLE["holding"]).balance == 80
        assert findings("holding") == []

    def test_keeps_debt_and_expiries(self, migrated):
        assert balance.current(PEOPLE["debtor"]).debt == 80
        assert balance.current(PEOPLE["lapsed"]).balance == 50
        assert journal("lapsed").filter(type="expiry").count() == 1

    def test_knows_nobody_who_was_erased_and_forfeits_what_they_had(self, migrated, call):
        erased = PEOPLE["erased"]
        for ask in (
            lambda: balance.current(erased),
            lambda: ledger.add(user_id=erased, amount=1, call=call()),
        ):
            with pytest.raises(UserNotFound):
                ask()
        sweep_user(erased)
        assert UserCredit.objects.get(pk=erased).balance == 0
        assert [row.type for row in journal("erased")][-2:] == ["expiry", "forfeit"]
        assert findings("erased") == []


class TestAnOverfullGrant:
    def test_is_mended_by_a_grant_of_its_own(self, migrated):
        mended = journal("plain").latest("at")
        made = CreditLot.objects.get(transaction_id=mended.pk)
        lot = grants("plain").first()
        assert (mended.type, mended.amount, mended.service) == ("adjustment", 0, "system")
        assert mended.lots == [[lot.pk, -200], [made.pk, 200]]
        assert (made.source, made.issued, made.priority, made.expires_at) == ("refund", 200, 50, None)

    def test_is_listed_before_it_is_mended(self, story):
        assert {(row["user_id"], row["finding"]) for row in story[3]} == {
            (str(PEOPLE[name]), "overfull") for name in BROKEN
        }

    def test_is_not_listed_where_it_has_been(self):
        with pytest.raises(CommandError, match="already migrated"):
            call_command("verify_ledger", "--before-migrate")

    def test_is_reported_and_nobody_else_is(self, migrated):
        reports = [line for line in migrated if line["event"] == "grant_mended"]
        assert sorted((line["user_id"], line["credits"]) for line in reports) == [
            (str(PEOPLE[name]), credits) for name, credits in zip(BROKEN, (200, 200, 200, 10), strict=True)
        ]
        assert not journal("sound").filter(type="adjustment").exists()

    def test_can_be_given_to_and_spent_from_again(self, migrated, call):
        ledger.add(user_id=PEOPLE["plain"], amount=10, type="bonus", call=call())
        assert balance.current(PEOPLE["plain"]).balance == 2410
        ledger.use(user_id=PEOPLE["plain"], amount=2410, call=call())
        assert findings("plain") == []

    def test_that_expired_with_too_much_is_mended_too(self, migrated):
        lot, made = grants("expired").first(), grants("expired", source="refund").get()
        assert (lot.expired, made.issued, made.expired, made.remaining) == (500, 200, 200, 0)
        assert balance.current(PEOPLE["expired"]).balance == 1700

    def test_that_is_due_expires_at_its_own_time(self, migrated, clock):
        due = clock.now + timedelta(hours=1)
        clock.advance(hours=2)
        sweep_user(PEOPLE["due"])
        assert [(row.amount, row.at - due) for row in journal("due").filter(type="expiry")] == [
            (-500, timedelta(0)),
            (-200, timedelta(microseconds=1)),
        ]
        assert findings("due") == []

    def test_is_mended_beside_a_hold_and_a_grant_that_is_sound(self, migrated, call):
        hold = CreditLot.objects.get(holder_id=PEOPLE["beside"], kind="hold")
        ledger.capture(hold_id=hold.transaction_id, amount=15, call=call())
        assert findings("beside") == []


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
