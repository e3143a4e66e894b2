"""A random walk through what a business meets: buying, renewing, paying late, refunds, disputes, credit notes, changes
of plan now, with the period and by staff, customers who are deleted at Stripe, users who are suspended or erased here,
backups that are restored.

Events come late, twice and in any order. At every step `verify_ledger` finds nothing: the journal has for each payment
what it is worth, and what was told adds up to what was posted. At the end worth is compared with the money at Stripe.
"""

import os
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
import stripe as stripe_sdk
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.identity import erasure, status
from accounts.kit.problems import Problem
from accounts.models import ServiceEvent, User
from billing import customers
from billing.errors import StripeObjectMissing
from billing.models import Payment, PaymentLine, Plan, StrangerPayment
from billing.settlement import lifecycle, posting, settle, standing_plans, strangers
from billing.settlement.posting import posted_for
from billing.shop import plan_changes
from billing.shop.requests import Instruction
from billing.stripe import gateway, sdk, shapes, snapshots
from billing.stripe.sdk import client
from billing.stripe_sync import changes, inbox, reconcile
from billing.tests.conftest import Buyer
from credits.models import CreditTransaction, TransactionType, UserCredit

RUNS, STEPS = int(os.environ.get("BILLING_RUNS", "6")), int(os.environ.get("BILLING_STEPS", "20"))
HEARD = frozenset(inbox.HANDLERS.keys() - {"customer.subscription.trial_will_end"})
ALL_OF_IT = timedelta(days=365 * 20)  # the fake's clock goes far ahead of ours
PRICES = st.sampled_from(["price_sub_basic", "price_sub_pro"])
PLANS = st.sampled_from(["basic", "pro"])
CHANCE = st.randoms(use_true_random=False)


def paid_invoices(fake):
    return [one["id"] for one in fake.objects("invoice") if one["status"] == "paid"]


class Business(RuleBasedStateMachine):
    fake: Any  # set by the test, as is make_plans
    make_plans: Any

    def __init__(self):
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.fake.reset()
        self.plans = self.make_plans()
        self.people = 0
        self.welcome()
        self.known = 0  # events of the fake that are known here
        self.waiting, self.seen = [], []
        self.frozen: dict[int, int] = {}
        self.sold = {code: {plan.credits} for code, plan in self.plans.items()}

    def welcome(self):
        """The first backup is older than the customer."""
        user = User.objects.create_user(f"walker{self.people}@example.test")
        self.people += 1
        self.back_up()
        self.buyer = Buyer(self.fake, user)
        self.subscription = self.card = self.asked_price = ""

    def back_up(self):
        self.backup = transaction.savepoint()

    def teardown(self):
        """Whatever failed, the next example finds nothing of this one, and so fails in the same way."""
        try:
            self.come_to_rest()
        finally:
            self.transaction.__exit__(RuntimeError, RuntimeError("rolled back"), None)

    def come_to_rest(self):
        self.hear_of_it()
        self.recover()
        self.converged()

    # ------------------------------------------------------------ what the user and staff do

    @rule(large=st.booleans(), quantity=st.integers(1, 3))
    def buy(self, large, quantity):
        self.buyer.buy(self.plans["large" if large else "small"], quantity=quantity)

    @precondition(lambda self: not self.subscription)
    @rule(price=PRICES, sent=st.booleans(), half=st.booleans())
    def subscribe(self, price, sent, half):
        self.card = self.attached("pm_card_visa")
        params: Any = {
            "customer": self.buyer.customer,
            "items": [{"price": price}],
            "default_payment_method": self.card,
        }
        if sent:
            params |= {"collection_method": "send_invoice", "days_until_due": 30}
        if half:
            params["discounts"] = [{"coupon": client().v1.coupons.create({"percent_off": 50}).id}]
        self.subscription = client().v1.subscriptions.create(params).id

    @precondition(lambda self: self.subscription)
    @rule(broken=st.booleans())
    def renew(self, broken):
        self.fake.break_card(self.card, "generic_decline" if broken else None)
        self.fake.renew(self.subscription)
        self.fake.break_card(self.card, None)
        if gateway.retrieve_subscription(self.subscription)["status"] == "canceled":
            self.subscription = ""

    @rule(days=st.integers(1, 50), outside=st.booleans())
    def pay_late(self, days, outside):
        """Whatever is open by then."""
        self.fake.advance(days=days)
        for invoice in self.fake.objects("invoice"):
            if invoice["status"] == "open" and invoice["customer"] == self.buyer.customer:
                how: Any = {"paid_out_of_band": True} if outside else {"payment_method": self.card}
                client().v1.invoices.pay(invoice["id"], how)
        live = self.subscription and gateway.retrieve_subscription(self.subscription)["status"] != "canceled"
        self.subscription = self.subscription if live else ""

    @rule(amount=st.integers(-500, 900).filter(bool), declared=st.booleans())
    def add_item(self, amount, declared):
        params: Any = {"customer": self.buyer.customer, "amount": amount, "currency": "eur"}
        params["metadata"] = {"credits": "0"} if declared else {}
        client().v1.invoice_items.create(params)

    @precondition(lambda self: self.subscription)
    @rule(price=PRICES, prorated=st.sampled_from(["none", "create_prorations", "always_invoice"]))
    def change(self, price, prorated):
        item = gateway.retrieve_subscription(self.subscription)["items"]["data"][0]["id"]
        change: Any = {"items": [{"id": item, "price": price}], "proration_behavior": prorated}
        client().v1.subscriptions.update(self.subscription, change)

    @precondition(lambda self: self.subscription)
    @rule(plan=PLANS, card=st.sampled_from(["good", "broken", "asks"]))
    def change_now(self, plan, card):
        """Check that what is refused changes nothing."""
        self.fake.break_card(self.card, "generic_decline" if card == "broken" else None)
        asks = card == "asks"
        if asks:
            self.pay_with(self.attached("pm_card_authenticationRequired"))
        before = self.priced()
        done = self.change_of_plan(plan, when="now")
        if asks:
            self.pay_with(self.card)
        self.fake.break_card(self.card, None)
        found = gateway.retrieve_subscription(self.subscription)
        assert done or self.priced() == before
        assert asks or not found["pending_update"] or standing_plans.pending_price(found) == self.asked_price
        if done and found["pending_update"]:
            self.asked_price = standing_plans.pending_price(found)

    @precondition(lambda self: self.subscription)
    @rule(plan=PLANS)
    def change_at_period_end(self, plan):
        before = self.priced()
        self.change_of_plan(plan, when="period_end")
        assert self.priced() == before

    @precondition(lambda self: self.subscription)
    @rule()
    def take_the_plan_back(self):
        with suppress(Problem):
            plan_changes.keep(self.instruction(), subscription_id=self.subscription)

    @precondition(lambda self: self.pending())
    @rule(confirmed=st.booleans())
    def confirm_pending(self, confirmed):
        """The user answers the bank's question, if it still stands."""
        begun = gateway.retrieve_begun_subscription(self.subscription)
        for intent in shapes.invoice_open_intents(begun["latest_invoice"]):
            if gateway.retrieve_payment_intent(intent)["status"] == "requires_action":
                self.fake.authenticate(intent, success=confirmed)
                assert (self.priced() == self.asked_price) is confirmed

    @precondition(lambda self: self.pending())
    @rule()
    def expire_pending(self):
        before = self.priced()
        self.fake.advance(to=self.pending()["expires_at"] - 1)
        assert self.priced() == before
        self.fake.advance(seconds=2)
        assert not self.pending()

    def change_of_plan(self, plan, *, when):
        """As a service asks for it; false where it is refused."""
        try:
            plan_changes.change(
                self.instruction(),
                subscription_id=self.subscription,
                plan_code=plan,
                when=plan_changes.When(when),
                resume=False,
            )
        except Problem:
            return False
        return True

    def instruction(self):
        return Instruction(
            service="shop", key=uuid4().hex, user_id=self.buyer.id, operation="change", fields={}
        )

    def attached(self, card):
        return client().v1.payment_methods.attach(card, {"customer": self.buyer.customer}).id

    def pay_with(self, card):
        gateway.set_subscription_card(subscription=self.subscription, payment_method=card)

    def priced(self):
        return standing_plans.price_of(gateway.retrieve_subscription(self.subscription))

    def pending(self):
        return self.subscription and gateway.retrieve_subscription(self.subscription)["pending_update"]

    @rule(share=st.integers(1, 100), parts=st.integers(1, 3), fails=st.booleans(), chance=CHANCE)
    def refund(self, share, parts, fails, chance):
        """In so many parts, of which the last may fail, days after it was heard of."""
        if charges := [one for one in self.fake.objects("charge") if one["captured"] and not one["disputed"]]:
            charge = chance.choice(charges)
            left = charge["amount_captured"] - charge["amount_refunded"]
            made = [
                self.fake.refund(charge["id"], max(1, left * share // 100 // parts))
                for _ in range(min(parts, left))
            ]
            if made and fails:
                self.hear_of_it()
                self.fake.fail_refund(made[-1]["id"])

    @rule(chance=CHANCE, end=st.sampled_from(["", "won", "lost"]))
    def dispute(self, chance, end):
        """With an end at once it is heard of before that."""
        charges = self.fake.objects("charge")
        if left := [one for one in charges if one["captured"] and not (one["disputed"] or one["refunded"])]:
            made = self.fake.dispute(chance.choice(left)["id"])
            if end:
                self.hear_of_it()
                self.fake.close_dispute(made["id"], end)

    @rule(chance=CHANCE, won=st.booleans())
    def close(self, chance, won):
        if disputes := [one for one in self.fake.objects("dispute") if one["status"] == "needs_response"]:
            self.fake.close_dispute(chance.choice(disputes)["id"], "won" if won else "lost")

    @rule(chance=CHANCE, share=st.integers(1, 100), way=st.sampled_from(["credit", "refund", "out_of_band"]))
    def credit(self, chance, share, way):
        """A credit note on one line or on all; what Stripe refuses is not done."""
        found = [one for one in self.fake.objects("invoice") if one["status"] in {"open", "paid"}]
        if not found:
            return
        invoice = chance.choice(found)
        lines = [line for line in invoice["lines"]["data"] if line["amount"] > 0]
        if not lines:
            return
        line = chance.choice(lines)
        amount = max(1, line["amount"] * share // 100)
        after = amount - min(amount, invoice["amount_remaining"] if invoice["status"] == "open" else 0)
        named = [{"type": "invoice_line_item", "invoice_line_item": line["id"], "amount": amount}]
        params: Any = {
            "invoice": invoice["id"],
            **({"lines": named} if chance.random() < 0.5 else {"amount": amount}),
        }
        given: Any = {**params, **({f"{way}_amount": after} if after else {})}
        with suppress(stripe_sdk.InvalidRequestError, stripe_sdk.APIError):
            client().v1.credit_notes.create(given)

    @rule(amount=st.integers(1, 300))
    def spend(self, amount):
        row = UserCredit.objects.filter(pk=self.buyer.id).first()
        if row is not None and row.balance > 0:
            self.buyer.use(min(amount, row.balance))

    @rule()
    def delete_customer(self):
        """In the Dashboard. The next call for the user makes another one, though the event may come later."""
        client().v1.customers.delete(self.buyer.customer)
        self.subscription = self.card = self.asked_price = ""
        self.ask()

    @rule()
    def suspend(self):
        """For a while: what waits for its payment by then is not to be paid."""
        status.suspend(user_id=self.buyer.id, reason="A walk", actor="test")
        changes.carry_out()
        is_known = self.buyer.customer in customers.all_of(self.buyer.id)
        assert not (is_known and self.pending())
        status.reactivate(user_id=self.buyer.id, reason="A walk", actor="test")
        changes.carry_out()
        if is_known and self.subscription:
            assert not gateway.retrieve_subscription(self.subscription)["pause_collection"]

    @rule(is_settled=st.booleans())
    def erase(self, is_settled):
        """Also while some of what was paid is still to be heard of."""
        if is_settled:
            self.come_to_rest()
        User.objects.filter(pk=self.buyer.id).update(
            status=User.Status.PENDING_DELETION, deletes_at=timezone.now() - timedelta(days=1)
        )
        assert erasure.erase(self.buyer.id)
        changes.carry_out()
        erased = self.buyer
        self.welcome()  # before anything is found wrong, so that the end has someone to come to rest with
        assert erased.balance <= 0

    @rule(code=st.sampled_from(["small", "large", "basic", "pro"]), credits=st.integers(1, 2000))
    def edit_plan(self, code, credits):
        """Change only what is bought from now on."""
        Plan.objects.filter(code=code).update(credits=credits)
        self.sold[code].add(credits)

    # ------------------------------------------------------------ what befalls us

    @rule()
    def make_backup(self):
        self.back_up()

    @rule(is_asked=st.booleans(), is_reconciled=st.booleans())
    def restore(self, is_asked, is_reconciled):
        """Lose what came since the backup, also that someone is a customer."""
        transaction.savepoint_rollback(self.backup)
        self.frozen = {}
        if is_asked:
            self.ask()
        if is_reconciled:
            self.recover()

    def ask(self):
        """As calls of services do, each of which begins once more where Stripe says that the customer is deleted. After
        a restore the key of an hour answers with the one that it made, and the next call finds that deleted too.
        """
        self.buyer.customer = customers.ensure(self.buyer.id)
        while customers.retire_if_deleted(self.buyer.id):
            self.buyer.customer = customers.ensure(self.buyer.id)

    def recover(self):
        """As operators and staff do it: reconcile, and say whose the payments of customers are that nobody knows."""
        now = timezone.now()
        for difference in reconcile.reconcile(start=now - ALL_OF_IT, end=now + ALL_OF_IT):
            assert difference.problem in {"", "a price without a plan"}, difference
        while payment := StrangerPayment.objects.filter(assigned_at=None).first():
            for payment_id in strangers.assign(payment, self.buyer.id):
                settle.settle(payment_id)

    @rule(chance=CHANCE)
    def look_twice(self, chance):
        """Two at once: the one that looked at Stripe earlier, and comes later, changes nothing."""
        if payments := list(Payment.objects.order_by("pk")):
            payment = chance.choice(payments)
            early = snapshots.take(payment.pk)
            if settle.settle(payment.pk) is not None:
                assert settle.apply(payment.pk, payment.user_id, payment.version, early) is None

    # ------------------------------------------------------------ how we hear of it

    @rule(chance=CHANCE)
    def hear(self, chance):
        """Some of what waits, in any order, and some of it again."""
        self.listen()
        some = chance.sample(self.waiting, chance.randint(0, len(self.waiting)))
        again = chance.sample(self.seen, min(2, len(self.seen)))
        self.deliver([*some, *again])

    @rule()
    def hear_of_it(self):
        self.listen()
        self.deliver(self.waiting)

    def listen(self):
        events = self.fake.events()
        self.waiting += [event for event in events[self.known :] if event["type"] in HEARD]
        self.known = len(events)

    def deliver(self, events):
        for event in list(events):
            with suppress(StripeObjectMissing):  # as the inbox does: it is deleted since
                inbox.HANDLERS[event["type"]](event["data"]["object"])
            self.seen.append(event)
        heard = {event["id"] for event in self.seen}
        self.waiting = [event for event in self.waiting if event["id"] not in heard]

    # ------------------------------------------------------------ what must hold

    @invariant()
    def all_adds_up(self):
        """As `verify_ledger` says to operators: the ledger, what payments are worth and what was told of them."""
        said = StringIO()
        try:
            call_command("verify_ledger", stdout=StringIO(), stderr=said)
        except SystemExit:
            pytest.fail(said.getvalue())

    @invariant()
    def what_was_sold_stays(self):
        for row in PaymentLine.objects.exclude(kind=PaymentLine.Kind.OPEN).exclude(plan=None):
            assert self.frozen.setdefault(row.pk, row.credits) == row.credits

    def posted_by_payment(self):
        """Return what the journal has of each payment."""
        posted: Counter[Any] = Counter()
        for row in CreditTransaction.objects.filter(service=posting.SERVICE):
            posted[row.refund_of if row.type == TransactionType.CHARGEBACK else row.pk] += row.amount
        lines = PaymentLine.objects.exclude(granted_by=None)
        payments = Counter[str]()
        for line in lines:
            payments[line.payment_id] += posted[line.granted_by]
        return payments

    def converged(self):
        """All heard: nothing that was paid is missing, another look posts nothing, and packs are worth what Stripe's
        charges say."""
        self.shows_what_was_paid_for(lifecycle.follow(self.buyer.id))
        paid = {one["id"] for one in self.fake.objects("payment_intent") if one["status"] == "succeeded"}
        assert paid <= set(Payment.objects.values_list("payment_intent", flat=True))
        told, posted = ServiceEvent.objects.count(), self.posted_by_payment()
        lifecycle.follow(self.buyer.id)
        for payment in Payment.objects.all():
            settle.settle(payment.pk)
        assert ServiceEvent.objects.count() == told
        lost = [one for one in self.fake.objects("dispute") if one["status"] in {"needs_response", "lost"}]
        for intent in self.fake.objects("payment_intent"):
            row = Payment.objects.filter(pk=intent["id"]).first()
            if row is None or row.plan is None or row.user.status == User.Status.DELETED:
                continue
            charge = next(one for one in self.fake.objects("charge") if one["id"] == intent["latest_charge"])
            taken = sum(one["amount"] for one in lost if one["charge"] == charge["id"])
            kept = max(0, charge["amount_captured"] - charge["amount_refunded"] - taken)
            assert posted[row.pk] in {
                credits * (row.quantity or 0) * kept // charge["amount"]
                for credits in self.sold[row.plan.code]
            }
        for invoice in map(gateway.retrieve_invoice, paid_invoices(self.fake)):
            self.keeps_what_stripe_says(invoice, lost)

    def keeps_what_stripe_says(self, invoice, lost):
        """Check that an invoice is worth what charges, disputes and credit notes leave of it, unless the customer's
        balance paid some; a line alone gives that part of its credits."""
        row = Payment.objects.filter(pk=invoice["id"], settled_at__isnull=False).first()
        if row is None or shapes.applied_balance(invoice) or invoice["total"] <= 0:
            return
        intents = set(shapes.invoice_payment_intents(invoice))
        charges = {one["id"]: one for one in self.fake.objects("charge") if one["payment_intent"] in intents}
        gone = sum(one["amount_refunded"] for one in charges.values())
        gone += sum(one["amount"] for one in lost if one["charge"] in charges)
        for note in self.fake.objects("credit_note"):
            if note["invoice"] == invoice["id"] and note["status"] == "issued":
                gone += note["post_payment_amount"] - shapes.noted_refunds(note)
        kept = max(0, invoice["amount_paid"] - gone)
        assert row.kept == kept, (row.kept, kept)
        for line in row.lines.all() if len(invoice["lines"]["data"]) == 1 else []:
            if line.kind == "subscription" and line.granted_by and row.user.status != User.Status.DELETED:
                assert posted_for(line) == line.credits * kept // line.due

    def shows_what_was_paid_for(self, account):
        """The account's plan is one that a payment of its subscription was for, if any was."""
        if account is not None and account.subscription:
            lines = PaymentLine.objects.filter(payment__subscription=account.subscription)
            paid = set(lines.filter(plan__kind="subscription").values_list("plan", flat=True))
            assert not paid or account.plan_id in paid


@pytest.mark.django_db
def test_money_is_right_at_every_step(stripe, plans):
    """`BILLING_RUNS=300 BILLING_STEPS=40` is the long one."""
    rows = [dict(vars(plan)) for plan in plans.values()]
    Plan.objects.all().delete()

    def make_plans():
        made = [
            Plan(**{name: value for name, value in row.items() if name not in {"_state", "id"}})
            for row in rows
        ]
        return {plan.code: plan for plan in Plan.objects.bulk_create(made)}

    Business.fake, Business.make_plans = stripe, staticmethod(make_plans)
    sdk.configure()
    run_state_machine_as_test(Business, settings=options())


def options():
    return settings(
        max_examples=RUNS,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
