"""How grants, holds, refunds, chargebacks and debt meet, row by row."""

from datetime import timedelta

import pytest

from credits import ledger
from credits.errors import (
    CaptureExceedsHold,
    HoldNotFound,
    HoldNotOpen,
    InsufficientCredits,
    RefundExceedsUse,
)
from credits.ledger import balance, batch, operations
from credits.models import CreditLot, CreditTransaction, UserCredit

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def journal(user):
    """Type, amount, balance, held and, since it follows from them, debt of each row, in order."""
    rows = CreditTransaction.objects.filter(holder_id=user.pk).order_by("at")
    return [(row.type, row.amount, row.balance, row.held) for row in rows]


def debt(user):
    return UserCredit.objects.get(holder_id=user.pk).debt


def held_by(user, *lots):
    """Return what is left in these lots, wherever it is kept."""
    credit = UserCredit.objects.get(holder_id=user.pk)
    return [lot.remaining + (credit.open_left if lot.pk == credit.open_lot else 0) for lot in lots]


def overfull(user):
    """The user's lots that hold more than they can."""
    lots = list(CreditLot.objects.filter(holder_id=user.pk))
    held = held_by(user, *lots)
    return [
        lot.pk
        for lot, left in zip(lots, held, strict=True)
        if left > lot.issued - lot.expired - lot.charged_back
    ]


class TestExpiry:
    def test_what_is_left_of_a_grant_expires_at_its_own_time_whoever_posts_it_when(self, person, call, clock):
        granted = ledger.add(user_id=person.pk, amount=100, expires_at=clock.now + HOUR, call=call())
        ledger.use(user_id=person.pk, amount=30, call=call())
        clock.advance(days=3)

        with pytest.raises(InsufficientCredits):
            ledger.use(user_id=person.pk, amount=1, call=call())
        ledger.add(user_id=person.pk, amount=5, call=call())

        assert journal(person) == [
            ("bonus", 100, 100, 0),
            ("use", -30, 70, 0),
            ("expiry", -70, 0, 0),
            ("bonus", 5, 5, 0),
        ]
        expiry = CreditTransaction.objects.get(type="expiry")
        assert expiry.at == granted.at + HOUR

    def test_a_read_reckons_what_is_due_and_writes_nothing(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=100, expires_at=clock.now + HOUR, call=call())
        ledger.add(user_id=person.pk, amount=7, type="purchase", call=call())
        clock.advance(hours=2)

        assert balance.current(person.pk).available == 7
        [unposted] = balance.unposted(person.pk, clock.now)
        assert journal(person) == [("bonus", 100, 100, 0), ("purchase", 7, 107, 0)]

        ledger.use(user_id=person.pk, amount=7, call=call())
        posted = CreditTransaction.objects.get(type="expiry")
        assert (posted.pk, posted.at, posted.amount) == (unposted.pk, unposted.at, -100)

    def test_a_past_balance_is_the_same_before_and_after_what_was_due_is_posted(self, person, call, clock):
        """Expiries of one instant are posted a microsecond apart; an instant has all that was due at it."""
        at = clock.now + HOUR
        for amount in (1, 2, 3):
            ledger.add(user_id=person.pk, amount=amount, expires_at=at, call=call())
        ledger.add(user_id=person.pk, amount=70, expires_at=at + timedelta(microseconds=2), call=call())
        ledger.add(user_id=person.pk, amount=7, type="purchase", call=call())
        ledger.add(user_id=person.pk, amount=30, type="bonus", expires_at=at - HOUR / 2, call=call())
        ledger.hold(user_id=person.pk, amount=30, lifetime=HOUR, call=call())
        clock.advance(hours=2)
        moments = [at + timedelta(microseconds=n) for n in range(-1, 8)]

        before = [balance.past(person.pk, moment).balance for moment in moments]
        ledger.use(user_id=person.pk, amount=7, call=call())
        after = [balance.past(person.pk, moment).balance for moment in moments]

        assert before == after == [113, 77, 77, 7, 7, 7, 7, 7, 7]
        assert CreditTransaction.objects.filter(type="expiry").count() == 5

    def test_what_a_call_does_at_the_instant_of_an_expiry_is_not_part_of_it(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=10, expires_at=clock.now + HOUR, call=call())
        ledger.add(user_id=person.pk, amount=7, type="purchase", call=call())
        at = clock.advance(hours=1)
        ledger.use(user_id=person.pk, amount=4, call=call())
        clock.advance(hours=1)

        assert [balance.past(person.pk, at + timedelta(microseconds=n)).balance for n in (0, 1)] == [7, 3]

    def test_what_expires_first_burns_first_within_a_priority(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=10, expires_at=clock.now + 2 * HOUR, call=call())
        ledger.add(user_id=person.pk, amount=10, expires_at=clock.now + HOUR, call=call())
        ledger.add(user_id=person.pk, amount=10, call=call())

        ledger.use(user_id=person.pk, amount=15, call=call())
        late, early, never = CreditLot.objects.filter(holder_id=person.pk).order_by("id")

        spent = CreditTransaction.objects.get(type="use")
        assert spent.lots == [[early.pk, -10], [late.pk, -5]]
        assert never.remaining == 10


class TestHold:
    def test_captured_in_part_the_rest_returns(self, person, call):
        ledger.add(user_id=person.pk, amount=100, call=call())
        hold = ledger.hold(user_id=person.pk, amount=40, lifetime=HOUR, call=call())
        ledger.capture(hold_id=hold.pk, amount=25, call=call())

        assert journal(person) == [("bonus", 100, 100, 0), ("hold", 0, 100, 40), ("use", -25, 75, 0)]
        lot = CreditLot.objects.get(kind="hold")
        assert (lot.status, lot.captured, lot.remaining) == ("captured", 25, 0)

    def test_is_settled_once_and_only_by_its_own_service(self, person, call):
        ledger.add(user_id=person.pk, amount=100, call=call())
        hold = ledger.hold(user_id=person.pk, amount=40, lifetime=HOUR, call=call())

        with pytest.raises(CaptureExceedsHold):
            ledger.capture(hold_id=hold.pk, amount=41, call=call())
        with pytest.raises(HoldNotFound):
            ledger.release(hold_id=hold.pk, call=call(service="other"))
        ledger.release(hold_id=hold.pk, call=call("r"))
        assert ledger.release(hold_id=hold.pk, call=call("r")).replayed
        with pytest.raises(HoldNotOpen):
            ledger.capture(hold_id=hold.pk, amount=None, call=call())

        assert journal(person) == [("bonus", 100, 100, 0), ("hold", 0, 100, 40), ("release", 0, 100, 0)]

    def test_expires_by_itself(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=50, call=call())
        hold = ledger.hold(user_id=person.pk, amount=50, lifetime=HOUR, call=call())
        clock.advance(hours=1)

        with pytest.raises(HoldNotOpen):
            ledger.capture(hold_id=hold.pk, amount=None, call=call())
        ledger.use(user_id=person.pk, amount=50, call=call())

        assert journal(person)[2:] == [("release", 0, 50, 0), ("use", -50, 0, 0)]
        assert CreditTransaction.objects.get(type="release").at == clock.now

    def test_credits_held_before_their_grant_expired_may_still_be_captured_and_the_rest_expires(
        self, person, call, clock
    ):
        ledger.add(user_id=person.pk, amount=100, expires_at=clock.now + HOUR, call=call())
        hold = ledger.hold(user_id=person.pk, amount=60, lifetime=5 * HOUR, call=call())
        clock.advance(hours=2)

        captured = ledger.capture(hold_id=hold.pk, amount=45, call=call())

        assert journal(person) == [
            ("bonus", 100, 100, 0),
            ("hold", 0, 100, 60),
            ("expiry", -40, 60, 60),
            ("use", -45, 15, 0),
            ("expiry", -15, 0, 0),
        ]
        consequence = CreditTransaction.objects.filter(type="expiry").latest("at")
        assert consequence.at - captured.at == timedelta(microseconds=1)
        assert consequence.key is None

    def test_holds_that_run_out_together_after_their_grant_each_expire_what_they_return(
        self, person, call, clock
    ):
        """Alike in all but the microsecond: such rows once had the same id, and the user could not be swept."""
        ledger.add(user_id=person.pk, amount=100, expires_at=clock.now + timedelta(seconds=5), call=call())
        for _ in range(3):
            ledger.hold(user_id=person.pk, amount=10, lifetime=timedelta(seconds=9), call=call())
        clock.advance(minutes=1)

        assert balance.current(person.pk).available == 0
        ledger.add(user_id=person.pk, amount=1, call=call())

        assert journal(person)[4:] == [
            ("expiry", -70, 30, 30),
            *[
                row
                for left in (20, 10, 0)
                for row in (("release", 0, left + 10, left), ("expiry", -10, left, left))
            ],
            ("bonus", 1, 1, 0),
        ]

    def test_refund_of_a_capture_whose_grant_has_expired_opens_a_new_grant(self, person, call, clock):
        ledger.add(user_id=person.pk, amount=100, expires_at=clock.now + HOUR, call=call())
        hold = ledger.hold(user_id=person.pk, amount=60, lifetime=5 * HOUR, call=call())
        clock.advance(hours=2)
        captured = ledger.capture(hold_id=hold.pk, amount=45, call=call())

        ledger.refund(transaction_id=captured.pk, amount=20, call=call())

        grant = CreditLot.objects.get(holder_id=person.pk, source="refund")
        assert (grant.issued, grant.priority) == (20, 20)
        assert grant.expires_at == grant.created_at + timedelta(days=30)
        assert balance.current(person.pk).available == 20


class TestRefund:
    def test_goes_back_last_drawn_first_and_never_exceeds_the_use(self, person, call):
        ledger.add(user_id=person.pk, amount=10, type="bonus", call=call())
        ledger.add(user_id=person.pk, amount=10, type="purchase", call=call())
        bonus, purchase = CreditLot.objects.filter(holder_id=person.pk).order_by("id")
        use = ledger.use(user_id=person.pk, amount=15, call=call())

        first = ledger.refund(transaction_id=use.pk, amount=6, call=call())
        rest = ledger.refund(transaction_id=use.pk, amount=None, call=call())

        assert (first.lots, rest.lots) == ([[purchase.pk, 5], [bonus.pk, 1]], [[bonus.pk, 9]])
        with pytest.raises(RefundExceedsUse):
            ledger.refund(transaction_id=use.pk, amount=1, call=call())
        assert balance.current(person.pk).balance == 20


class TestChargeback:
    def test_takes_what_is_left_and_makes_the_rest_debt_while_holds_are_honoured(self, person, call):
        bought = ledger.add(user_id=person.pk, amount=100, type="purchase", call=call())
        ledger.use(user_id=person.pk, amount=60, call=call())
        hold = ledger.hold(user_id=person.pk, amount=20, lifetime=HOUR, call=call())

        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=100, call=call())
        assert (journal(person)[-1], debt(person)) == (("chargeback", -100, -60, 20), 80)

        with pytest.raises(InsufficientCredits):
            ledger.use(user_id=person.pk, amount=1, call=call())
        with pytest.raises(InsufficientCredits):
            ledger.hold(user_id=person.pk, amount=1, lifetime=HOUR, call=call())

        ledger.capture(hold_id=hold.pk, amount=15, call=call())
        assert (journal(person)[-1], debt(person)) == (("use", -15, -75, 0), 75)

    def test_what_arrives_in_debt_pays_it_first(self, person, call):
        bought = ledger.add(user_id=person.pk, amount=100, type="purchase", call=call())
        ledger.use(user_id=person.pk, amount=100, call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=100, call=call())

        arrived = ledger.add(user_id=person.pk, amount=130, type="purchase", call=call())

        grant = CreditLot.objects.filter(holder_id=person.pk).latest("id")
        assert arrived.lots == [[0, 100], [grant.pk, 30]]
        assert (balance.current(person.pk).available, debt(person)) == (30, 0)

    def test_takes_no_more_than_was_issued_less_what_expired_and_was_taken(self, person, call, clock):
        bought = ledger.add(
            user_id=person.pk, amount=100, type="purchase", expires_at=clock.now + HOUR, call=call()
        )
        ledger.use(user_id=person.pk, amount=30, call=call())
        clock.advance(hours=2)

        first = ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=100, call=call())
        second = ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=100, call=call())

        assert first is not None
        assert (first.amount, second, debt(person)) == (-30, None, 30)

    def test_won_gives_back_what_was_taken(self, person, call):
        bought = ledger.add(user_id=person.pk, amount=100, type="purchase", call=call())
        ledger.add(user_id=person.pk, amount=50, type="bonus", call=call())
        ledger.use(user_id=person.pk, amount=90, call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=100, call=call())
        assert debt(person) == 40

        ledger.restore(user_id=person.pk, granted_by=bought.pk, amount=100, call=call())

        assert (journal(person)[-1], debt(person)) == (("chargeback", 100, 60, 0), 0)
        assert balance.current(person.pk).available == 60

    def test_won_twice_gives_back_what_was_taken_last(self, person, call, clock):
        bought = ledger.add(user_id=person.pk, amount=100, type="purchase", call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=50, call=call())
        ledger.restore(user_id=person.pk, granted_by=bought.pk, amount=50, call=call())
        ledger.use(user_id=person.pk, amount=100, call=call())
        ledger.add(
            user_id=person.pk, amount=80, type="bonus", expires_at=clock.now + timedelta(days=1), call=call()
        )
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=50, call=call())

        ledger.restore(user_id=person.pk, granted_by=bought.pk, amount=50, call=call())

        left = balance.current(person.pk).expiring
        assert [credits for credits, _ in left] == [80]

    def test_credits_released_to_a_grant_charged_back_whole_come_as_a_refund(self, person, call, clock):
        bought = ledger.add(user_id=person.pk, amount=100, type="purchase", call=call())
        ledger.add(user_id=person.pk, amount=200, type="purchase", call=call())
        hold = ledger.hold(user_id=person.pk, amount=40, lifetime=HOUR, call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=100, call=call())

        ledger.release(hold_id=hold.pk, call=call())

        returned = CreditLot.objects.get(holder_id=person.pk, source="refund")
        assert (returned.issued, returned.priority) == (40, 50)
        assert balance.current(person.pk).available == 200


class TestCreditsReturnToAGrant:
    """Whatever comes back, no grant ever holds more than was issued, less what expired and was charged back."""

    @pytest.fixture(autouse=True)
    def no_grant_is_overfull(self, person):
        yield
        assert overfull(person) == []

    def test_a_won_dispute_whose_debt_another_grant_has_paid_makes_a_grant_of_its_own(self, person, call):
        bought = ledger.add(user_id=person.pk, amount=500, type="purchase", call=call())
        used = ledger.use(user_id=person.pk, amount=500, call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=500, call=call())
        ledger.add(user_id=person.pk, amount=2200, type="purchase", call=call())

        won = ledger.restore(user_id=person.pk, granted_by=bought.pk, amount=500, call=call())
        ledger.refund(transaction_id=used.pk, amount=200, call=call())

        old, new, repaid = CreditLot.objects.filter(holder_id=person.pk).order_by("id")
        assert won is not None
        assert won.lots == [[repaid.pk, 500]]
        assert (repaid.source, repaid.issued, repaid.priority) == ("refund", 500, old.priority)
        assert repaid.expires_at is None  # as the grant in whose place it is
        assert held_by(person, old, new, repaid) == [200, 1700, 500]
        ledger.add(user_id=person.pk, amount=1, type="bonus", call=call())
        ledger.use(user_id=person.pk, amount=2401, call=call())
        assert balance.current(person.pk).balance == 0

    def test_a_won_dispute_pays_what_is_still_owed_and_only_the_rest_is_a_grant(self, person, call):
        bought = ledger.add(user_id=person.pk, amount=500, type="purchase", call=call())
        used = ledger.use(user_id=person.pk, amount=500, call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=500, call=call())
        ledger.refund(transaction_id=used.pk, amount=200, call=call())

        won = ledger.restore(user_id=person.pk, granted_by=bought.pk, amount=500, call=call())

        old, repaid = CreditLot.objects.filter(holder_id=person.pk).order_by("id")
        assert won is not None
        assert won.lots == [[0, 300], [repaid.pk, 200]]
        assert (held_by(person, old, repaid), debt(person)) == ([0, 200], 0)

    def test_a_dispute_won_in_parts_gives_back_the_debt_first(self, person, call):
        bought = ledger.add(user_id=person.pk, amount=500, type="purchase", call=call())
        ledger.use(user_id=person.pk, amount=300, call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=500, call=call())
        ledger.add(user_id=person.pk, amount=300, type="purchase", call=call())

        ledger.restore(user_id=person.pk, granted_by=bought.pk, amount=300, call=call())
        ledger.restore(user_id=person.pk, granted_by=bought.pk, amount=200, call=call())

        old, _, repaid = CreditLot.objects.filter(holder_id=person.pk).order_by("id")
        assert held_by(person, old, repaid) == [200, 300]

    @pytest.mark.parametrize("ending", ["release", "capture", "expiry", "batch"])
    def test_a_hold_returns_no_more_than_a_partial_chargeback_left_room_for(
        self, person, call, clock, ending
    ):
        bought = ledger.add(user_id=person.pk, amount=100, type="purchase", call=call())
        ledger.add(user_id=person.pk, amount=200, type="purchase", call=call())
        hold = ledger.hold(user_id=person.pk, amount=40, lifetime=HOUR, call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=80, call=call())
        lot = CreditLot.objects.get(kind="hold")

        if ending == "release":
            ledger.release(hold_id=hold.pk, call=call())
        elif ending == "capture":
            ledger.capture(hold_id=hold.pk, amount=10, call=call())
        elif ending == "batch":
            batch.perform_all([batch.Step(person.pk, operations.release(lot, call=call()))])
        else:
            clock.advance(hours=1)
            ledger.add(user_id=person.pk, amount=1, type="bonus", call=call())

        old, _, returned = CreditLot.objects.filter(holder_id=person.pk, kind="grant").order_by("id")[:3]
        rest = 10 if ending == "capture" else 20
        assert held_by(person, old, returned) == [20, rest]
        assert returned.source == "refund"

    def test_a_refund_into_a_grant_charged_back_in_part_fills_it_and_opens_another(self, person, call):
        bought = ledger.add(user_id=person.pk, amount=100, type="purchase", call=call())
        used = ledger.use(user_id=person.pk, amount=40, call=call())
        ledger.add(user_id=person.pk, amount=200, type="purchase", call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=80, call=call())

        refund = ledger.refund(transaction_id=used.pk, amount=40, call=call())

        old, _, rest = CreditLot.objects.filter(holder_id=person.pk).order_by("id")
        assert refund.lots == [[old.pk, 20], [rest.pk, 20]]

    def test_of_an_expired_grant_only_what_it_has_room_for_expires_with_it(self, person, call, clock):
        bought = ledger.add(
            user_id=person.pk, amount=100, type="purchase", expires_at=clock.now + HOUR, call=call()
        )
        ledger.add(user_id=person.pk, amount=200, type="purchase", call=call())
        hold = ledger.hold(user_id=person.pk, amount=40, lifetime=5 * HOUR, call=call())
        ledger.charge_back(user_id=person.pk, granted_by=bought.pk, amount=80, call=call())
        clock.advance(hours=2)

        ledger.release(hold_id=hold.pk, call=call())

        old, _, rest = CreditLot.objects.filter(holder_id=person.pk, kind="grant").order_by("id")
        assert (old.expired, held_by(person, old, rest)) == (20, [0, 20])
