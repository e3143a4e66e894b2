"""Any order of operations, on three users who live the same life.

One spends by the one statement, one by the locked path only, one has a background sweep at random moments. Their
journals must be identical, and each must agree with the napkin.
"""

import os
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.kit.problems import Problem
from accounts.models import User
from credits import ledger
from credits.ledger import balance, operations, verify
from credits.ledger.calls import Call
from credits.ledger.posting import perform, sweep_user
from credits.models import CreditLot, CreditTransaction, UserCredit
from credits.tests.conftest import Clock
from credits.tests.model import NEVER, Napkin, Refused

RUNS, STEPS = int(os.environ.get("LEDGER_RUNS", "25")), int(os.environ.get("LEDGER_STEPS", "30"))
AMOUNTS = st.integers(1, 40)
LIVES = st.sampled_from([5, 10, 20, 60])


def refused(operation):
    """Return whether the operation was refused."""
    try:
        operation()
    except (Problem, Refused):
        return True
    return False


class Life(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.clock = Clock()
        self.start = self.clock.now
        self.napkin = Napkin()
        self.by_statement, self.by_lock, self.swept = self.users = [
            User.objects.create_user(f"{name}@example.test").pk for name in ("statement", "lock", "swept")
        ]
        self.number = 0
        self.replayable = []

    def teardown(self):
        for user_id in self.users:
            assert not verify.verify_user(user_id).findings
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def on_all(self, on_napkin, verb):
        """The napkin and the three users do the same, and are refused alike. A key makes each repeatable."""
        self.number += 1
        key = str(self.number)
        expected = refused(on_napkin)
        for user_id in self.users:
            call = Call(service="shop", key=key, request=key.encode())
            assert refused(lambda user_id=user_id, call=call: verb(user_id, call)) == expected
        if not expected:
            self.replayable.append((key, verb))

    def rows(self, user_id, **filters):
        return list(CreditTransaction.objects.filter(holder_id=user_id, **filters).order_by("at"))

    def nth(self, user_id, number, **filters):
        return CreditLot.objects.filter(holder_id=user_id, **filters).order_by("pk")[number]

    @rule(amount=AMOUNTS, kind=st.sampled_from(["bonus", "purchase", "adjustment"]), life=st.none() | LIVES)
    def add(self, amount, kind, life):
        expires = NEVER if life is None else self.napkin.now + life
        at = None if life is None else self.clock.now + timedelta(seconds=life)
        self.on_all(
            lambda: self.napkin.give(amount, kind, expires),
            lambda user_id, call: ledger.add(
                user_id=user_id, amount=amount, type=kind, expires_at=at, call=call
            ),
        )

    @rule(amount=AMOUNTS)
    def use(self, amount):
        def verb(user_id, call):
            if user_id == self.by_lock:
                return perform(user_id, operations.use(amount=amount, call=call))
            return ledger.use(user_id=user_id, amount=amount, call=call)

        self.on_all(lambda: self.napkin.use(amount), verb)

    @rule(amount=AMOUNTS, life=LIVES)
    def place_hold(self, amount, life):
        self.on_all(
            lambda: self.napkin.hold(amount, life),
            lambda user_id, call: ledger.hold(
                user_id=user_id, amount=amount, lifetime=timedelta(seconds=life), call=call
            ),
        )

    @precondition(lambda self: self.napkin.holds)
    @rule(data=st.data(), share=st.sampled_from([0, 30, 50, 100, 110]))
    def settle_hold(self, data, share):
        number = data.draw(st.integers(0, len(self.napkin.holds) - 1))
        hold = self.napkin.holds[number]
        captured = hold.amount * share // 100

        def verb(user_id, call):
            hold_id = self.nth(user_id, number, kind="hold").transaction_id
            if captured == 0:
                return ledger.release(hold_id=hold_id, call=call)
            return ledger.capture(hold_id=hold_id, amount=captured, call=call)

        self.on_all(lambda: self.napkin.close(hold, captured), verb)

    @precondition(lambda self: self.napkin.uses)
    @rule(data=st.data(), amount=AMOUNTS)
    def refund(self, data, amount):
        number = data.draw(st.integers(0, len(self.napkin.uses) - 1))
        self.on_all(
            lambda: self.napkin.refund(self.napkin.uses[number], amount),
            lambda user_id, call: ledger.refund(
                transaction_id=self.rows(user_id, type="use")[number].pk, amount=amount, call=call
            ),
        )

    @precondition(lambda self: self.napkin.grants)
    @rule(data=st.data(), amount=AMOUNTS, won=st.booleans())
    def chargeback(self, data, amount, won):
        number = data.draw(st.integers(0, len(self.napkin.grants) - 1))
        grant = self.napkin.grants[number]
        verb = ledger.restore if won else ledger.charge_back

        def charge(user_id, call):
            lots = CreditLot.objects.filter(
                holder_id=user_id, transaction_id=self.maker(user_id, number), kind="grant"
            )
            if (
                lots.count() > 1
            ):  # a refund into several dead grants makes several; billing never charges those back
                return None
            return verb(user_id=user_id, granted_by=self.maker(user_id, number), amount=amount, call=call)

        lots = CreditLot.objects.filter(holder_id__in=self.users, kind="grant").count()
        if lots != len(self.users) * len(self.napkin.grants):
            return  # the napkin posts at once what is due; a grant that comes of it has no number with a user yet
        makers = {self.maker(self.by_lock, n): n for n in range(len(self.napkin.grants))}
        if len(makers) == len(self.napkin.grants):
            self.on_all(
                lambda: (self.napkin.restore if won else self.napkin.charge_back)(grant, amount),
                charge,
            )
            self.replayable = []  # a chargeback of nothing leaves no row, so its key is free

    def maker(self, user_id, number):
        return self.nth(user_id, number, kind="grant").transaction_id

    @rule(seconds=st.sampled_from([1, 4, 5, 10, 30, 31 * 24 * 3600]))
    def time_passes(self, seconds):
        self.clock.advance(seconds=seconds)
        self.napkin.tick(seconds)

    @rule()
    def background_sweep(self):
        sweep_user(self.swept)

    @precondition(lambda self: self.replayable)
    @rule(data=st.data())
    def a_repeat_changes_nothing(self, data):
        key, verb = data.draw(st.sampled_from(self.replayable))
        for user_id in self.users:
            before = len(self.rows(user_id))
            row = verb(user_id, Call(service="shop", key=key, request=key.encode()))
            assert row.replayed
            assert len(self.rows(user_id)) == before

    @invariant()
    def balances_agree_with_the_napkin(self):
        for user_id in self.users:
            now = balance.current(user_id)
            assert (now.balance, now.held, now.debt, now.available) == (
                self.napkin.balance,
                self.napkin.held,
                self.napkin.debt,
                self.napkin.available,
            )

    @invariant()
    def no_grant_holds_more_than_it_can(self):
        assert all(grant.room >= 0 for grant in self.napkin.grants)
        for user_id in self.users:
            assert all(left <= most for left, _, _, most in self.grants(user_id))

    @invariant()
    def grants_agree_with_the_napkin(self):
        """Compare who has nothing due that is not posted: the napkin posts at once."""
        expected = [(grant.left, grant.expired, grant.charged) for grant in self.napkin.grants]
        for user_id in self.users:
            if not balance.unposted(user_id, self.clock.now):
                assert [grant[:3] for grant in self.grants(user_id)] == expected

    def grants(self, user_id):
        """Return what is left of each grant, by number, with what expired, was charged back, and what it could hold."""
        balances = UserCredit.objects.filter(pk=user_id).values_list("open_lot", "open_left")
        open_lot, open_left = balances.first() or (None, 0)
        return [
            (
                lot.remaining + (open_left if lot.pk == open_lot else 0),
                lot.expired,
                lot.charged_back,
                lot.issued - lot.expired - lot.charged_back,
            )
            for lot in CreditLot.objects.filter(holder_id=user_id, kind="grant").order_by("pk")
        ]

    @invariant()
    def journals_are_identical(self):
        one, two, three = (self.journal(user_id) for user_id in self.users)
        assert one == two == three

    def journal(self, user_id):
        """Every row with what is due but not posted, lots by their number within the user."""
        lots = CreditLot.objects.filter(holder_id=user_id).order_by("pk").values_list("pk", flat=True)
        numbers = {0: 0, **{pk: number for number, pk in enumerate(lots, 1)}}
        posted = [
            (row.at, row.type, row.amount, row.balance, row.held, [[numbers[lot], n] for lot, n in row.lots])
            for row in self.rows(user_id)
        ]
        due = [
            (row.at, row.type, row.amount, row.balance, row.held)
            for row in balance.unposted(user_id, self.clock.now)
        ]
        return [row[:5] for row in posted] + due, [
            row[5] for row in posted if row[1] not in ("expiry", "release")
        ]


@pytest.mark.django_db
def test_three_lives_are_one():
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
