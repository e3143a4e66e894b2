"""Events many at a time, in any order, twice, or not at all: the credits come out the same."""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from billing.models import BillingAccount, InboxEvent, Payment
from billing.stripe import gateway
from billing.stripe_sync import inbox, reconcile
from billing.tests.conftest import WEBHOOK, Buyer, carry_out, receive, signature
from credits.models import CreditLot, UserCredit
from tests.listeners import ListenerClient

ORDERS = int(os.environ.get("BILLING_ORDERS", "8"))  # 200 when it is asked for
REPEATED = 0.2


def at_once(number: int, act: Callable[[int], Any]) -> list[Any]:
    gate = threading.Barrier(number)
    results: list[Any] = []

    def run(index: int) -> None:
        gate.wait()
        try:
            results.append(act(index))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
class TestOneEventManyTimes:
    """F8."""

    def test_100_in_parallel_then_100_in_a_row(self, stripe, plans, buyer, webhook_secret):
        buyer.buy(plans["small"])
        body = json.dumps(stripe.events("payment_intent.succeeded")[0]).encode()

        def deliver(_: int) -> int:
            answer = ListenerClient("public").raw(
                "POST", WEBHOOK, body, HTTP_STRIPE_SIGNATURE=signature(body)
            )
            return int(answer.status_code)

        parallel = [status for _ in range(5) for status in at_once(20, deliver)]
        asked = len(stripe.requests())
        in_a_row = [deliver(0) for _ in range(100)]
        assert set(parallel + in_a_row) == {200}
        # Nobody waits for Stripe. How long it takes is measured by the drill.
        assert len(stripe.requests()) == asked
        inbox.work()
        assert InboxEvent.objects.count() == 1
        assert buyer.journal == [("purchase", 100)]
        assert buyer.verifies()

    def test_many_workers_at_once(self, stripe, plans, buyer):
        buyer.buy(plans["small"])
        buyer.buy(plans["large"])
        receive(stripe.events())
        at_once(8, lambda _: inbox.work())
        assert not InboxEvent.objects.filter(done_at=None).exists()
        assert sorted(buyer.journal) == [("purchase", 100), ("purchase", 500)]
        assert buyer.verifies()


@pytest.mark.django_db(transaction=True)
class TestKilledWorkers:
    KILLS = 20

    def test_a_worker_killed_in_mid_event_20_times(self, stripe, plans, make_buyer):
        """kill -9 of a process of its own, while it waits for Stripe, posts, marks or mirrors."""
        chance = random.Random(8)
        buyers = [make_buyer() for _ in range(4)]
        for buyer in buyers:
            stripe.refund(buyer.charge_of(buyer.buy(plans["small"])), 250)
        receive(stripe.events())
        in_mid_event = 0
        while in_mid_event < self.KILLS:
            in_mid_event += self.kill_one(chance.uniform(0.03, 0.3))
            if not InboxEvent.objects.filter(done_at=None).exists():
                InboxEvent.objects.update(done_at=None, settled_at=None, leased_until=None)
        InboxEvent.objects.update(leased_until=None, due_at=timezone.now(), attempts=0, dead_at=None)
        inbox.work(seconds=120)
        assert not InboxEvent.objects.filter(done_at=None).exists()
        assert [buyer.journal for buyer in buyers] == [[("purchase", 100), ("chargeback", -50)]] * 4
        assert all(buyer.verifies() for buyer in buyers)

    def kill_one(self, after: float) -> bool:
        """Tell whether the worker had an event in hand when it was killed."""
        connection.close()  # a child must not have its parent's
        child = os.fork()
        if child == 0:
            try:
                inbox.work()
            finally:
                os._exit(0)
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        held = InboxEvent.objects.filter(done_at=None, leased_until__gt=timezone.now())
        in_hand = held.exists()
        held.update(leased_until=timezone.now(), attempts=0)  # as if its lease had run out
        return in_hand


def state_of(buyer: Buyer) -> dict[str, Any]:
    """All that is to be the same: what is owned and owed, the grants, the payments, the account."""
    row = UserCredit.objects.get(pk=buyer.id)
    lots = CreditLot.objects.filter(holder_id=buyer.id).order_by("source", "issued")
    account = BillingAccount.objects.get(pk=buyer.id)
    return {
        "credits": (row.balance, row.held, row.debt, row.blocked),
        "lots": list(lots.values_list("source", "issued", "charged_back", "expires_at")),
        "payments": list(Payment.objects.order_by("pk").values_list("pk", "kind", "credits", "paid", "kept")),
        "account": (account.status, account.subscription, account.current_period_end),
    }


@pytest.mark.django_db
class TestRandomOrders:
    """F9: what Stripe says is final; the events about it come in any order, some twice."""

    def test_the_final_state_is_always_the_same(self, stripe, plans, buyer):
        pack, subscription = buyer.buy(plans["small"]), buyer.buy(plans["basic"])
        stripe.refund(buyer.charge_of(pack), 125)
        dispute = stripe.dispute(buyer.charge_of(subscription))
        stripe.close_dispute(dispute["id"], "lost")
        types = (
            "payment_intent.succeeded", "checkout.session.completed", "invoice.paid", "charge.refunded",
            "charge.dispute.created", "charge.dispute.closed", "customer.subscription.created",
        )  # fmt: skip
        events = stripe.events(*types)
        assert len(events) >= 8
        states = []
        for seed in range(ORDERS):
            chance = random.Random(seed)
            order = chance.sample(events, len(events))
            order += chance.sample(events, round(len(events) * REPEATED))
            states.append(self.outcome(order, buyer))
        assert states[0]["credits"] == (75, 0, 0, [])
        assert all(state == states[0] for state in states)

    def outcome(self, order: list[Any], buyer: Buyer) -> dict[str, Any]:
        """Carry all of them out, and take it all back."""
        with transaction.atomic():
            for position, event in enumerate(order):
                if InboxEvent.objects.filter(event_id=event["id"]).exists():
                    InboxEvent.objects.filter(event_id=event["id"]).update(
                        done_at=None, settled_at=None, leased_until=None
                    )  # as if a worker had died after the effect and before the mark
                receive([{**event, "created": position}])
                InboxEvent.objects.update(
                    mirrored_at=timezone.now()
                )  # what dj-stripe makes of it decides nothing
                inbox.work()
            state = state_of(buyer)
            assert buyer.verifies()
            transaction.set_rollback(True)
        return state


@pytest.mark.django_db
class TestDroppedDeliveries:
    def test_the_list_of_events_makes_up_for_them(self, stripe, plans, make_buyer):
        buyers = [make_buyer() for _ in range(3)]
        for buyer in buyers:
            buyer.buy(plans["small"])
        receive(stripe.events()[:4])
        found = reconcile.catch_up()
        assert found == len(stripe.events()) - 4
        inbox.work()
        assert [buyer.balance for buyer in buyers] == [100, 100, 100]
        assert reconcile.catch_up() == 0

    def test_so_do_the_lists_of_what_was_paid_and_refunded(self, stripe, plans, make_buyer, capsys):
        pack, subscriber, refunded = make_buyer(), make_buyer(), make_buyer()
        pack.buy(plans["small"])
        subscriber.buy(plans["basic"])
        stripe.refund(refunded.charge_of(refunded.buy(plans["large"])), 1000)
        report = self.run("--dry-run", "--json")
        assert sorted(row["due"] for row in json.loads(report)["differences"]) == [100, 200, 250]
        assert not Payment.objects.exists()
        assert not UserCredit.objects.exclude(hash=b"").exists()
        assert "3 payments corrected, 0 could not be settled." in self.run()
        assert [buyer.balance for buyer in (pack, subscriber, refunded)] == [100, 200, 250]
        assert "0 payments corrected" in self.run()
        assert all(buyer.verifies() for buyer in (pack, subscriber, refunded))

    def test_a_lost_refund_or_dispute(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        carry_out(stripe.events())
        stripe.refund(buyer.charge_of(session), 100)
        self.run()
        assert buyer.balance == 80
        stripe.dispute(buyer.charge_of(session), amount=400)
        self.run()
        assert buyer.balance == 0

    def test_what_cannot_be_settled_is_named(self, stripe, plans, buyer):
        buyer.buy(plans["small"])
        plans["small"].delete()
        with pytest.raises(SystemExit):
            self.run()

    def test_a_subscription_whose_end_nobody_told(self, stripe, plans, buyer):
        session = buyer.buy(plans["basic"])
        carry_out(stripe.events())
        gateway.cancel_subscription(subscription=session["subscription"])
        BillingAccount.objects.update(current_period_end=timezone.now())
        assert reconcile.follow_overdue() == 1
        assert BillingAccount.objects.get().status == "canceled"

    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command("reconcile_stripe", "--since", "2h", *arguments, stdout=out)
        return out.getvalue()
