"""The ledger's verbs as short stories: what each does to balance, grants and journal."""

from datetime import timedelta

import pytest
from django.db import connection

from credits import ledger
from credits.errors import InsufficientCredits
from credits.ledger.account import Account
from credits.models import CreditLot, CreditTransaction, UserCredit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("each_shape")]


def journal(user):
    return [
        (row.type, row.amount, row.balance)
        for row in CreditTransaction.objects.filter(holder_id=user.pk).order_by("at")
    ]


class TestManyGrants:
    """More than a call loads at once."""

    @pytest.fixture
    def many(self, person, call, clock):
        lives = [None, 3, 1, 2]
        for number in range(45):
            life = lives[number % 4]
            expires_at = None if life is None else clock.now + timedelta(hours=life)
            type_ = "purchase" if number % 3 else "bonus"
            ledger.add(user_id=person.pk, amount=1, type=type_, expires_at=expires_at, call=call())
        return person

    def test_burn_in_their_order(self, many, call, monkeypatch):
        monkeypatch.setattr("credits.ledger.account.FIRST_PAGE", 2)
        expected = [lot.pk for lot in CreditLot.objects.order_by(*CreditLot.BURN_ORDER)]

        spent = ledger.use(user_id=many.pk, amount=45, call=call())

        assert [lot for lot, _ in spent.lots] == expected

    def test_leave_no_cursor_open_on_the_server(self, many, call, clock):
        """Behind a pooler that lends a connection for a transaction, the next statement would not find it."""
        grants = Account(UserCredit.objects.get(pk=many.pk), now=clock.now).live_grants()
        next(grants), next(grants)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_cursors WHERE name LIKE '_django_curs%%'")
            assert cursor.fetchone() == (0,)


class TestUse:
    def test_a_spend_within_the_open_grant_is_one_statement(self, person, call, django_assert_num_queries):
        ledger.add(user_id=person.pk, amount=100, call=call())

        with django_assert_num_queries(
            3
        ):  # savepoint, the statement, release: the test's own transaction is around it
            ledger.use(user_id=person.pk, amount=30, call=call())

        assert journal(person) == [("bonus", 100, 100), ("use", -30, 70)]

    def test_spending_more_than_the_open_grant_takes_the_next_one_too(self, person, call):
        ledger.add(user_id=person.pk, amount=50, type="purchase", call=call())
        ledger.add(user_id=person.pk, amount=20, type="bonus", call=call())

        spent = ledger.use(user_id=person.pk, amount=30, call=call())

        purchase, bonus = CreditLot.objects.filter(holder_id=person.pk).order_by("id")
        assert spent.lots == [[bonus.pk, -20], [purchase.pk, -10]]
        credit = UserCredit.objects.get(holder_id=person.pk)
        assert (credit.balance, credit.open_lot, credit.open_left) == (40, purchase.pk, 40)

    def test_overspending_is_refused_and_leaves_nothing(self, person, call):
        ledger.add(user_id=person.pk, amount=10, call=call())

        with pytest.raises(InsufficientCredits) as refusal:
            ledger.use(user_id=person.pk, amount=11, call=call())

        assert refusal.value.extra == {"available": 10, "required": 11}
        assert journal(person) == [("bonus", 10, 10)]

    def test_the_same_key_spends_once(self, person, call):
        ledger.add(user_id=person.pk, amount=100, call=call())

        first = ledger.use(user_id=person.pk, amount=100, call=call("k"))
        again = ledger.use(user_id=person.pk, amount=100, call=call("k"))

        assert (again.pk, again.replayed, first.replayed) == (first.pk, True, False)
        assert journal(person) == [("bonus", 100, 100), ("use", -100, 0)]
