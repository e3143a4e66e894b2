"""Carry out the events that Stripe delivered: first what they mean for credits and account status, then the mirror.

No event is trusted: it only says what to look at, and the object is fetched. So events may come twice, late, or in any
order, and one look is enough for all events about the same thing that arrived before it. Only events in `HANDLERS` have
any effect. Nothing is mirrored while anything waits to be settled: on a night of renewals, credits come first.
"""

import json
import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.kit.leases import Queue, describe
from accounts.kit.problems import Problem
from billing import customers
from billing.errors import BillingFailed, BillingUnavailable, StripeObjectMissing
from billing.models import BillingAccount, InboxEvent, Payment, Progress
from billing.settlement import lifecycle, notices, settle
from billing.stripe import mirror, sdk, shapes
from billing.stripe.shapes import Object
from billing.stripe_sync import intake

SECONDS_OF_A_RUN = 30.0
SECONDS_OF_AN_EVENT = 45.0  # less than a lease
PAUSE = timedelta(seconds=15)  # when Stripe fails for one event after another
AWAY = "stripe_away"

queue = Queue(model=InboxEvent, order="settled_at NULLS FIRST, created, id")

log = structlog.get_logger("billing")


# ---------------------------------------------------------------- what each event leads to


def _invoice(item: Object) -> Payment | None:
    return settle.settle(item["id"])


def _intent(item: Object) -> Payment | None:
    return settle.settle_payment_intent(item["id"])


def _session(item: Object) -> Payment | None:
    return settle.settle_session(item["id"])


@transaction.atomic
def _failed_session(item: Object) -> None:
    """Notify the user that a debit made in Checkout has failed."""
    user_id = customers.user_of(shapes.customer_of(item))
    if user_id is not None:
        BillingAccount.objects.bulk_create([BillingAccount(pk=user_id)], ignore_conflicts=True)
        BillingAccount.objects.select_for_update(no_key=True).get(pk=user_id)
        amount, currency = int(item.get("amount_total") or 0), str(item.get("currency") or "")
        notices.failed(user_id, session=item["id"], amount=amount, currency=currency)


def _noted_invoice(item: Object) -> Payment | None:
    """Settle the invoice of a credit note, whose money may go back without a refund."""
    return settle.settle(shapes.id_of(item.get("invoice")))


def _paid_by_intent(item: Object) -> Payment | None:
    """Settle the payment of a charge, a refund or a dispute, each of which names its payment intent."""
    intent = shapes.id_of(item.get("payment_intent"))
    return settle.settle_payment_intent(intent) if intent else None


def _customer(item: Object) -> None:
    lifecycle.follow_customer(shapes.customer_of(item))


def _customer_deleted(item: Object) -> None:
    """Follow the customer's subscriptions, which have ended with it, and retire it."""
    customer = shapes.customer_of(item)
    lifecycle.follow_customer(customer)
    customers.retire(customer)


def _trial(item: Object) -> None:
    lifecycle.trial_will_end(shapes.customer_of(item))


# Each returns the payment that the event was about, if any.
HANDLERS: dict[str, Callable[[Object], Payment | None]] = {
    "invoice.paid": _invoice,
    "invoice.payment_succeeded": _invoice,
    "invoice.payment_failed": _customer,
    "payment_intent.succeeded": _intent,
    "checkout.session.completed": _session,
    "checkout.session.async_payment_succeeded": _session,
    "checkout.session.async_payment_failed": _failed_session,
    "credit_note.created": _noted_invoice,
    "credit_note.updated": _noted_invoice,
    "credit_note.voided": _noted_invoice,
    "charge.refunded": _paid_by_intent,
    "charge.refund.updated": _paid_by_intent,
    "refund.created": _paid_by_intent,
    "refund.updated": _paid_by_intent,
    "refund.failed": _paid_by_intent,
    "charge.dispute.created": _paid_by_intent,
    "charge.dispute.updated": _paid_by_intent,
    "charge.dispute.closed": _paid_by_intent,
    "charge.dispute.funds_withdrawn": _paid_by_intent,
    "charge.dispute.funds_reinstated": _paid_by_intent,
    "customer.deleted": _customer_deleted,
    "customer.subscription.created": _customer,
    "customer.subscription.updated": _customer,
    "customer.subscription.deleted": _customer,
    "customer.subscription.paused": _customer,
    "customer.subscription.resumed": _customer,
    "customer.subscription.pending_update_applied": _customer,
    "customer.subscription.pending_update_expired": _customer,
    "customer.subscription.trial_will_end": _trial,
    "subscription_schedule.created": _customer,
    "subscription_schedule.updated": _customer,
    "subscription_schedule.released": _customer,
    "subscription_schedule.canceled": _customer,
    "subscription_schedule.completed": _customer,
    "subscription_schedule.aborted": _customer,
}


# ---------------------------------------------------------------- carrying out


def work(*, seconds: float = SECONDS_OF_A_RUN) -> int:
    """Settle the due events, roughly in order of creation, then mirror them. Return how many steps were taken.

    Stops when none is left or the time is up. If Stripe does not answer for two in a row, the rest waits a little, so
    that the worker is free for other work.
    """
    if _is_away():
        return 0
    until = time.monotonic() + seconds
    done = failed_in_a_row = 0
    while time.monotonic() < until and (event := queue.claim()):
        failed_in_a_row = 0 if process(event) else failed_in_a_row + 1
        if failed_in_a_row > 1:
            _stay_away()
            break
        done += 1
    return done


def process(event: InboxEvent) -> bool:
    """Settle a claimed event, or mirror a settled one. Return False if Stripe gave no answer.

    An answer that is an error costs no time, so it counts as one.
    """
    try:
        with sdk.within(SECONDS_OF_AN_EVENT):
            if event.settled_at is None:
                _settle(event)
                queue.put_off(event, seconds=0, reason="")  # until there is time to mirror it
                return True
            erased = bool(event.customer) and customers.is_erased(event.customer)
            _mirror(event, wanted=not erased)
    except Exception as error:  # noqa: BLE001 -- whatever goes wrong with one event must not keep the others waiting
        _put_off(event, error)
        return isinstance(error, BillingFailed) or not isinstance(error, BillingUnavailable)
    queue.finish(event, **({"body": None} if erased else {}))
    return True


def _put_off(event: InboxEvent, error: Exception) -> None:
    dead = queue.fail(event, describe(error))
    if dead and event.settled_at is None and event.about:
        _leave_one(event)
    report = log.error if dead else log.warning
    report(
        "event_dead" if dead else "event_put_off",
        type=event.type,
        id=event.event_id,
        reason=describe(error),
    )


def _leave_one(event: InboxEvent) -> None:
    """Keep only the first of the dead events about one thing: the others count as settled and are mirrored."""
    about = _payment_named(event.about)
    InboxEvent.objects.filter(pk=event.pk).update(about=about)
    for other in dead().filter(about=about, settled_at=None).order_by("pk")[1:]:
        queue.revive(other, settled_at=Now())


def _payment_named(about: str) -> str:
    """Return the invoice that an intent pays, if Stripe can name one; else `about` as it is."""
    try:
        return settle.payments_of_intent(about)[0] if about.startswith("pi_") else about
    except Problem:
        return about


def _settle(event: InboxEvent) -> None:
    handle = HANDLERS.get(event.type)
    if handle is not None and event.body is not None:
        try:
            _settled_with(event, handle(json.loads(event.body)["data"]["object"]))
        except StripeObjectMissing:
            log.warning("event_about_nothing", type=event.type, id=event.event_id)  # since deleted at Stripe
    _mark(event, "settled_at")


def _settled_with(event: InboxEvent, payment: Payment | None) -> None:
    """Mark as settled this event, and all others about the same thing that arrived before Stripe was asked.

    Refunds and disputes do not name their customer, though a dispute's evidence has a name and an address.
    """
    names = {event.about, *((payment.pk, payment.payment_intent) if payment is not None else ())} - {""}
    asked_at = (event.leased_until or event.received_at) - queue.lease
    same = InboxEvent.objects.filter(about__in=names, settled_at=None, done_at=None, dead_at=None)
    same = same.filter(received_at__lte=asked_at) | InboxEvent.objects.filter(pk=event.pk)
    if payment is not None and (customer := customers.customer_of(payment.user_id)):
        same.filter(customer="").update(customer=customer)
    same.update(settled_at=Now())


def _mirror(event: InboxEvent, *, wanted: bool) -> None:
    if wanted and event.mirrored_at is None and event.body is not None:
        mirror.mirror(json.loads(event.body))
    _mark(event, "mirrored_at")


def _mark(event: InboxEvent, column: str) -> None:
    if getattr(event, column) is None:
        InboxEvent.objects.filter(pk=event.pk).update(**{column: Now()})


def _is_away() -> bool:
    return Progress.objects.filter(name=AWAY, until__gt=Now()).exists()


def _stay_away() -> None:
    Progress.objects.update_or_create(name=AWAY, defaults={"until": Now() + PAUSE})


# ---------------------------------------------------------------- dead events


def dead() -> QuerySet[InboxEvent]:
    return InboxEvent.objects.filter(dead_at__isnull=False).order_by("created", "id")


def replay(event: InboxEvent) -> None:
    """Give a dead event another round of attempts, starting now."""
    queue.revive(event)
    intake.worker.tell()
