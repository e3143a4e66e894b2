"""Check that a Stripe test account behaves as this service assumes: each fact is a separate story.

With STRIPE_SECRET_KEY=sk_test_... it asks Stripe, using objects that it creates there and removes. Without it, the
program says so and asks the tests' fake instead, which shows only that the fake and these stories agree.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import stripe

ROOT = Path(__file__).resolve().parents[3]
DAY = 24 * 3600
Story = Callable[["Account"], bool]


class Account:
    """An account prepared for the stories: a customer with a card, and two prices."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self.v1: Any = client.v1
        self.made: list[str] = []
        product = {"name": "stripe_check"}
        month = {"interval": "month"}
        self.cheap = self._price(900, product, month)
        self.dear = self._price(2900, product, month)

    def _price(self, amount: int, product: Any, recurring: Any) -> str:
        fields = {"unit_amount": amount, "currency": "eur", "product_data": product, "recurring": recurring}
        return str(self.v1.prices.create(fields).id)

    def customer(self) -> tuple[str, str]:
        customer = self.v1.customers.create({"email": "stripe_check@example.test"}).id
        card = self.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
        self.made.append(customer)
        return customer, card

    def subscribe(self, price: str = "", **more: Any) -> Any:
        customer, card = self.customer()
        given = {
            "customer": customer,
            "items": [{"price": price or self.cheap}],
            "default_payment_method": card,
        }
        return self.v1.subscriptions.create({**given, **more})

    def change_now(self, subscription: Any, price: str) -> Any:
        """Change the price as this service does."""
        item = subscription["items"]["data"][0]["id"]
        change = {"items": [{"id": item, "price": price}], "billing_cycle_anchor": "now"}
        how = {"proration_behavior": "none", "payment_behavior": "pending_if_incomplete"}
        return self.v1.subscriptions.update(subscription.id, {**change, **how})

    def invoice_of(self, subscription: Any) -> Any:
        fresh = self.v1.subscriptions.retrieve(subscription.id)
        return self.v1.invoices.retrieve(fresh.latest_invoice, {"expand": ["payments"]})

    def remove(self) -> None:
        for customer in self.made:
            with suppress(stripe.StripeError):
                self.v1.customers.delete(customer)


def a_new_anchor_bills_a_whole_period(account: Account) -> bool:
    """A dearer price with `billing_cycle_anchor=now` and no proration is billed whole, from now on."""
    subscription = account.subscribe()
    changed = account.change_now(subscription, account.dear)
    invoice = account.invoice_of(subscription)
    period = changed["items"]["data"][0]
    is_whole = period.current_period_end - period.current_period_start > 27 * DAY
    amounts = [line.amount for line in invoice.lines.data]
    return bool(is_whole and amounts == [2900] and invoice.amount_paid == 2900 and not changed.pending_update)


def a_refused_change_waits_and_a_void_ends_it(account: Account) -> bool:
    """A declined change leaves the price and a pending update; voiding its invoice takes that away."""
    subscription = account.subscribe()
    bad = account.v1.payment_methods.attach(
        "pm_card_chargeCustomerFail", {"customer": subscription.customer}
    ).id
    account.v1.subscriptions.update(subscription.id, {"default_payment_method": bad})
    waiting = account.change_now(subscription, account.dear)
    price = waiting["items"]["data"][0].price.id
    account.v1.invoices.void_invoice(waiting.latest_invoice)
    after = account.v1.subscriptions.retrieve(subscription.id)
    return bool(price == account.cheap and waiting.pending_update and not after.pending_update)


def a_schedule_changes_the_price_with_the_period(account: Account) -> bool:
    """A schedule made from a subscription has its period as its phase, takes a second one, and lets it go."""
    subscription = account.subscribe()
    made = account.v1.subscription_schedules.create({"from_subscription": subscription.id})
    running = made.phases[0]
    now: Any = {"items": [{"price": account.cheap, "quantity": 1}], "start_date": running.start_date}
    then: Any = {"items": [{"price": account.dear, "quantity": 1}], "proration_behavior": "none"}
    then["duration"] = {"interval": "month", "interval_count": 1}
    phases = [{**now, "end_date": running.end_date}, then]
    changed = account.v1.subscription_schedules.update(made.id, {"phases": phases, "end_behavior": "release"})
    account.v1.subscription_schedules.release(made.id)
    after = account.v1.subscriptions.retrieve(subscription.id)
    return len(changed.phases) == 2 and after.schedule is None


def a_preview_says_what_a_change_costs(account: Account) -> bool:
    """A preview of a new anchor without proration is over the new price, and makes nothing."""
    subscription = account.subscribe()
    item = subscription["items"]["data"][0]["id"]
    details = {"items": [{"id": item, "price": account.dear}], "proration_behavior": "none"}
    asked = {
        "subscription": subscription.id,
        "subscription_details": {**details, "billing_cycle_anchor": "now"},
    }
    preview = account.v1.invoices.create_preview(asked)
    return bool(preview.amount_due == 2900 and account.invoice_of(subscription).total == 900)


def a_date_leaves_the_flag_alone(account: Account) -> bool:
    """An end by `cancel_at` leaves `cancel_at_period_end` false, as the portal's does."""
    subscription = account.subscribe()
    changed = account.v1.subscriptions.update(subscription.id, {"cancel_at": int(time.time()) + 20 * DAY})
    return bool(changed.cancel_at) and not changed.cancel_at_period_end


def a_date_is_taken_back_by_nothing(account: Account) -> bool:
    """An empty text clears `cancel_at`."""
    subscription = account.subscribe()
    account.v1.subscriptions.update(subscription.id, {"cancel_at": int(time.time()) + 20 * DAY})
    return account.v1.subscriptions.update(subscription.id, {"cancel_at": ""}).cancel_at is None


def a_free_month_is_an_invoice_of_nothing(account: Account) -> bool:
    """`trial_end` on a paying subscription makes a paid invoice whose line costs nothing and which starts nothing."""
    subscription = account.subscribe()
    end = int(time.time()) + 60 * DAY
    account.v1.subscriptions.update(subscription.id, {"trial_end": end, "proration_behavior": "none"})
    invoice = account.invoice_of(subscription)
    lines = [line.amount for line in invoice.lines.data]
    return invoice.billing_reason != "subscription_create" and invoice.status == "paid" and lines == [0]


def an_invoice_paid_outside_counts_as_paid(account: Account) -> bool:
    """An invoice paid outside Stripe has the sum in `amount_paid`, without a successful payment intent."""
    subscription = account.subscribe(collection_method="send_invoice", days_until_due=30)
    invoice = account.invoice_of(subscription)
    if invoice.status == "draft":
        invoice = account.v1.invoices.finalize_invoice(invoice.id)
    account.v1.invoices.pay(invoice.id, {"paid_out_of_band": True})
    paid = account.invoice_of(subscription)
    return bool(paid.status == "paid" and paid.amount_paid == paid.total)


def a_note_writes_an_open_invoice_off(account: Account) -> bool:
    """A credit note for the whole of an open invoice makes it paid, with nothing received."""
    subscription = account.subscribe(collection_method="send_invoice", days_until_due=30)
    invoice = account.invoice_of(subscription)
    if invoice.status == "draft":
        invoice = account.v1.invoices.finalize_invoice(invoice.id)
    account.v1.credit_notes.create({"invoice": invoice.id, "amount": invoice.total})
    written_off = account.invoice_of(subscription)
    return bool(written_off.status == "paid" and written_off.amount_paid == 0)


def a_note_after_payment_says_so(account: Account) -> bool:
    """A credit note on a paid invoice is in `post_payment_credit_notes_amount`; what it refunds, in its `refunds`."""
    subscription = account.subscribe()
    invoice = account.invoice_of(subscription)
    note = account.v1.credit_notes.create({"invoice": invoice.id, "amount": 300, "refund_amount": 300})
    noted = account.invoice_of(subscription)
    return bool(noted.post_payment_credit_notes_amount == 300 and note.refunds and note.status == "issued")


def prorations_are_lines_of_their_own(account: Account) -> bool:
    """A change with `always_invoice` makes one line for the rest of the old price and one for the new."""
    subscription = account.subscribe()
    item = subscription["items"]["data"][0]["id"]
    change = {"items": [{"id": item, "price": account.dear}], "proration_behavior": "always_invoice"}
    account.v1.subscriptions.update(subscription.id, change)
    amounts = [line.amount for line in account.invoice_of(subscription).lines.data]
    return len(amounts) == 2 and min(amounts) < 0 < max(amounts)


def without_proration_nothing_is_charged(account: Account) -> bool:
    """A change without proration makes no invoice: it takes effect with the next period."""
    subscription = account.subscribe()
    item = subscription["items"]["data"][0]["id"]
    change = {"items": [{"id": item, "price": account.dear}], "proration_behavior": "none"}
    before = account.invoice_of(subscription).id
    account.v1.subscriptions.update(subscription.id, change)
    return bool(account.invoice_of(subscription).id == before)


def money_is_in_the_balance_by_its_source(account: Account) -> bool:
    """A charge and its refund each have a balance transaction whose source names the payment intent."""
    began = int(time.time()) - 5
    intent = account.invoice_of(account.subscribe()).payments.data[0].payment.payment_intent
    account.v1.refunds.create({"payment_intent": intent, "amount": 100})
    wanted: Any = {"created": {"gte": began}, "limit": 20, "expand": ["data.source"]}
    rows = account.v1.balance_transactions.list(wanted).data
    kinds = [row.source.object for row in rows if getattr(row.source, "payment_intent", None) == intent]
    return sorted(kinds) == ["charge", "refund"]


def deleted_customers_say_so(account: Account) -> bool:
    """A deleted customer can still be retrieved, marked as deleted."""
    customer, _ = account.customer()
    account.v1.customers.delete(customer)
    return bool(account.v1.customers.retrieve(customer).deleted)


STORIES: tuple[Story, ...] = (
    a_new_anchor_bills_a_whole_period,
    a_refused_change_waits_and_a_void_ends_it,
    a_schedule_changes_the_price_with_the_period,
    a_preview_says_what_a_change_costs,
    a_date_leaves_the_flag_alone,
    a_date_is_taken_back_by_nothing,
    a_free_month_is_an_invoice_of_nothing,
    an_invoice_paid_outside_counts_as_paid,
    a_note_writes_an_open_invoice_off,
    a_note_after_payment_says_so,
    prorations_are_lines_of_their_own,
    without_proration_nothing_is_charged,
    money_is_in_the_balance_by_its_source,
    deleted_customers_say_so,
)


@contextmanager
def the_fake() -> Iterator[stripe.StripeClient]:
    command = [sys.executable, "-m", "tests.fake_stripe"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            yield stripe.StripeClient("sk_test_fake", base_addresses={"api": url})
        finally:
            process.terminate()


@contextmanager
def asked(key: str) -> Iterator[stripe.StripeClient]:
    if key:
        yield stripe.StripeClient(key)
        return
    with the_fake() as client:
        yield client


def main() -> int:
    key = os.environ.get("STRIPE_SECRET_KEY", "")
    if key and not key.startswith(("sk_test_", "rk_test_")):
        print("STRIPE_SECRET_KEY is not a key of test mode. Nothing was asked.")
        return 2
    print(
        "Asking Stripe." if key else "No STRIPE_SECRET_KEY: asking the fake. About Stripe this says nothing."
    )
    with asked(key) as client:
        account = Account(client)
        try:
            wrong = [story for story in STORIES if not _told(story, account)]
        finally:
            account.remove()
    print(f"{len(STORIES) - len(wrong)} of {len(STORIES)} hold.")
    return 1 if wrong else 0


def _told(story: Story, account: Account) -> bool:
    try:
        holds, why = story(account), ""
    except (stripe.StripeError, AttributeError, KeyError, IndexError) as error:
        holds, why = False, f" ({type(error).__name__}: {error})"
    print(f"{'holds' if holds else 'NOT SO'}  {(story.__doc__ or '').strip()}{why}")
    return holds


if __name__ == "__main__":
    raise SystemExit(main())
