"""One trial for a user and for a card, ever."""

import threading
from uuid import uuid4

import pytest
from django.db import connection

from billing.errors import TrialUsed
from billing.models import CustomerChange, Payment, TrialClaim
from billing.settlement import trial
from billing.stripe import gateway
from billing.stripe_sync import changes
from billing.tests.conftest import carry_out

CARD = "fingerprint-of-a-card"


def claim(user_id, holder, card=CARD) -> bool:
    try:
        trial.claim(user_id=user_id, fingerprint=card, holder=holder)
    except TrialUsed:
        return False
    return True


@pytest.mark.django_db
class TestClaims:
    def test_a_user_has_one(self):
        user = uuid4()
        assert trial.give(user_id=user, fingerprint=CARD, holder="a")
        assert not claim(user, "b", card="another card")
        assert trial.eligibility(user) == "trial_used"

    def test_a_card_has_one_whoever_holds_it(self):
        assert trial.give(user_id=uuid4(), fingerprint=CARD, holder="a")
        other = uuid4()
        assert not claim(other, "b")
        assert TrialClaim.objects.count() == 2
        assert trial.eligibility(other) == "eligible"

    def test_the_holder_may_claim_again(self):
        user = uuid4()
        assert all(claim(user, "a") for _ in range(3))
        assert trial.give(user_id=user, fingerprint=CARD, holder="a")
        assert trial.give(user_id=user, fingerprint=CARD, holder="a")

    def test_a_claim_that_led_to_nothing_gives_way_to_the_same_user_only(self):
        user = uuid4()
        assert claim(user, "a")
        assert not claim(uuid4(), "b")
        assert claim(user, "c")
        assert not claim(uuid4(), "d")

    def test_a_refusal_by_stripe_costs_no_trial(self):
        user = uuid4()
        claim(user, "a")
        trial.release(holder="a")
        assert claim(uuid4(), "b")
        assert trial.eligibility(user) == "eligible"

    def test_what_is_given_is_not_released(self):
        user = uuid4()
        trial.give(user_id=user, fingerprint=CARD, holder="a")
        trial.release(holder="a")
        assert not claim(user, "b")

    def test_neither_user_nor_card_is_in_the_table(self):
        user = uuid4()
        claim(user, "a")
        text = repr(list(TrialClaim.objects.values_list()))
        assert CARD not in text
        assert str(user) not in text

    def test_a_rotated_key_forgets_no_trial(self, settings):
        user = uuid4()
        trial.give(user_id=user, fingerprint=CARD, holder="a")
        settings.LEDGER_DIGEST_KEYS = ["a-newer-key-of-the-tests-0123456789ab", *settings.LEDGER_DIGEST_KEYS]
        assert not claim(user, "b", card="x")
        assert not claim(uuid4(), "c")


@pytest.mark.django_db(transaction=True)
def test_20_parallel_trials_with_one_card_are_one(transactional_db):
    gate = threading.Barrier(20)
    results: list[bool] = []

    def attempt(number: int) -> None:
        gate.wait()
        try:
            results.append(trial.give(user_id=uuid4(), fingerprint=CARD, holder=f"sub_{number}"))
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 19 + [True]
    assert TrialClaim.objects.filter(given=True).count() == 2


@pytest.mark.django_db
class TestInCheckout:
    def test_a_used_card_ends_the_trial_uncredited(self, stripe, plans, make_buyer):
        first, second = make_buyer(), make_buyer()
        first.buy(plans["pro"], trial=True)
        session = second.buy(plans["pro"], trial=True)
        carry_out(stripe.events())
        assert (first.journal, second.journal) == ([("trial", 50)], [])
        assert CustomerChange.objects.get().kind == "end_subscription"
        changes.carry_out()
        assert gateway.retrieve_subscription(session["subscription"])["status"] == "canceled"
        assert Payment.objects.get(user=second.id).credits == 0
        carry_out(stripe.events())
        assert second.journal == []

    def test_another_card_is_another_trial(self, stripe, plans, make_buyer):
        first, second = make_buyer(), make_buyer()
        first.buy(plans["pro"], trial=True)
        second.buy(plans["pro"], trial=True, card="pm_card_mastercard")
        carry_out(stripe.events())
        assert (first.journal, second.journal) == ([("trial", 50)], [("trial", 50)])
