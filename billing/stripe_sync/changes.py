"""Tell Stripe of changes to a customer: each is a row, written with its cause in one transaction, carried out later.

The facts are read again when a change is carried out, so it may be repeated and the last one wins.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

import structlog
from django.db.models.functions import Now

from accounts.kit.leases import Queue, describe
from accounts.models import User
from billing import customers
from billing.errors import StripeObjectMissing
from billing.models import CustomerChange, CustomerLink
from billing.settlement import lifecycle
from billing.stripe import ending, gateway, sdk
from billing.stripe.shapes import Object
from billing.stripe_sync import duplicates

SECONDS_OF_A_RUN = 30.0
SECONDS_OF_A_CHANGE = 45.0
Kind = CustomerChange.Kind

queue = Queue(model=CustomerChange, order="due_at, id")

log = structlog.get_logger("billing")


def carry_out(*, seconds: float = SECONDS_OF_A_RUN) -> int:
    """Carry out all changes that are due, until none is left or the time is up. Return how many."""
    until = time.monotonic() + seconds
    done = 0
    while time.monotonic() < until and (change := queue.claim()):
        _carry_out(change)
        done += 1
    return done


def _carry_out(change: CustomerChange) -> None:
    try:
        with sdk.within(SECONDS_OF_A_CHANGE):
            _tell(change)
    except Exception as error:  # noqa: BLE001 -- whatever goes wrong with one must not keep the others waiting
        dead = queue.fail(change, describe(error))
        report = log.error if dead else log.warning
        report("customer_change_failed", kind=change.kind, dead=dead, reason=describe(error))
    else:
        queue.finish(change)


def _tell(change: CustomerChange) -> None:
    """Tell Stripe. If the object is gone there, nothing needs to be done."""
    customer = customers.customer_of(change.user_id)
    if customer is None:
        return
    try:
        TELL[Kind(change.kind)](change, customer)
    except StripeObjectMissing:
        log.info("customer_change_about_nothing", kind=change.kind)
    if change.kind == Kind.DELETE:
        CustomerLink.objects.filter(pk=change.user_id).update(deleted_at=Now())
    elif change.kind != Kind.EMAIL:
        lifecycle.follow(change.user_id)


def _email(change: CustomerChange, customer: str) -> None:
    email = User.objects.filter(pk=change.user_id).values_list("email", flat=True).first()
    if email:
        gateway.update_customer_email(
            customer=customer, email=email, metadata=customers.marks(change.user_id)
        )


def _stop_buying(change: CustomerChange, customer: str) -> None:
    """Leave nothing for the user to pay, unless they may buy again by now. What is paid for continues."""
    if not customers.may_buy(change.user_id):
        for found in _without_what_was_begun(change.user_id):
            ending.drop_pending(found)
    _renew_or_not(change.user_id)


def _renew_or_not(user_id: uuid.UUID) -> None:
    """Pause renewals while the user is shut out, else resume them: nobody pays for credits that we do not let them use.

    Whether they are is checked again afterwards: another worker may have decided the opposite in between.
    """
    is_shut_out = customers.is_shut_out(user_id)
    for found in filter(lifecycle.is_alive, _subscriptions(user_id)):
        (ending.pause if is_shut_out else ending.go_on)(found)
    if customers.is_shut_out(user_id) != is_shut_out:
        _renew_or_not(user_id)


def _end_at_period(change: CustomerChange, customer: str) -> None:
    """End the subscriptions with their periods, unless the user has come back since then."""
    if not User.objects.filter(pk=change.user_id, deletes_at__isnull=False).exists():
        return
    for found in _without_what_was_begun(change.user_id):
        ending.with_period(found["id"])


def _without_what_was_begun(user_id: uuid.UUID) -> Iterator[Object]:
    """Close the user's open pages, end subscriptions that wait for their first payment, and yield the others."""
    for customer in customers.all_of(user_id):
        with suppress(StripeObjectMissing):
            ending.close_pages(customer)
    for found in _subscriptions(user_id):
        if found["status"] == "incomplete":
            ending.at_once(found["id"])
        else:
            yield found


def _subscriptions(user_id: uuid.UUID) -> Iterator[Object]:
    """Yield the subscriptions of the user's current and former customers; Stripe has deleted most former ones."""
    for customer in customers.all_of(user_id):
        with suppress(StripeObjectMissing):
            yield from gateway.list_subscriptions(customer=customer)


def _end_subscription(change: CustomerChange, customer: str) -> None:
    ending.at_once(change.subscription)


def _delete(change: CustomerChange, customer: str) -> None:
    """Delete all of the user's customers, including those that staff assigned. Stripe has deleted most former ones."""
    for known in customers.all_of(change.user_id):
        with suppress(StripeObjectMissing):
            for found in filter(lifecycle.is_alive, gateway.list_subscriptions(customer=known)):
                ending.free(found)
            gateway.delete_customer(customer=known)


TELL = {
    Kind.EMAIL: _email,
    Kind.STOP_BUYING: _stop_buying,
    Kind.END_AT_PERIOD: _end_at_period,
    Kind.END_SUBSCRIPTION: _end_subscription,
    Kind.END_RENEWAL: duplicates.end_renewal,
    Kind.DELETE: _delete,
}
