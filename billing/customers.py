"""Know which Stripe customer a user is. The link is ours: nothing that an event says changes it."""

import hashlib
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

from django.db import IntegrityError, transaction

from accounts.errors import UserNotFound
from accounts.kit.nudge import Nudge
from accounts.models import User
from billing.errors import BillingFailed, BillingUnavailable
from billing.models import CustomerChange, CustomerLink
from billing.stripe import gateway
from billing.stripe.shapes import Object

KEYS = 3
SECONDS_OF_A_KEY = 3600

worker = Nudge("billing.tasks.carry_out_changes", gather=0.1)


def user_of(customer: str) -> uuid.UUID | None:
    return CustomerLink.objects.filter(customer=customer).values_list("user_id", flat=True).first()


def is_erased(customer: str) -> bool:
    """Tell whether this customer was a user who is erased: nothing is kept about them."""
    return CustomerLink.objects.filter(customer=customer, user__status=User.Status.DELETED).exists()


def customer_of(user_id: uuid.UUID) -> str | None:
    return CustomerLink.objects.filter(pk=user_id).values_list("customer", flat=True).first()


def ensure(user_id: uuid.UUID) -> str:
    """Return the user's customer at Stripe, made if there is none yet.

    It stays one, however many ask at once and however often an answer is lost. Raises UserNotFound and what the
    gateway raises.
    """
    known = customer_of(user_id)
    if known is not None:
        return known
    user = User.objects.filter(pk=user_id).exclude(status=User.Status.DELETED).first()
    if user is None:
        raise UserNotFound
    return _link(user, _find_or_create(user))


def _find_or_create(user: User) -> str:
    """Stripe forgets an idempotency key after a day, and until then keeps a 500 for it: then another key is tried."""
    for attempt in range(KEYS):
        for found in _made_before(user):
            return str(found["id"])
        with suppress(BillingFailed):
            return _create(user, attempt)
    raise BillingUnavailable


def _made_before(user: User) -> Iterator[Object]:
    """Lists know at once what search knows after a minute, but go by the address, which may have changed."""
    candidates = gateway.list_customers(email=user.email) if user.email else []
    for found in [*candidates, *gateway.find_customers(user_id=str(user.pk))]:
        is_theirs = (found.get("metadata") or {}).get("user_id") == str(user.pk)
        if is_theirs and not found.get("deleted") and user_of(found["id"]) in {None, user.pk}:
            yield found


def _create(user: User, attempt: int) -> str:
    email = user.email or ""
    fields = f"{user.pk} {email} {int(time.time() // SECONDS_OF_A_KEY)} {attempt}"
    key = f"customer-{hashlib.sha256(fields.encode()).hexdigest()}"
    made = gateway.create_customer(email=email or None, metadata={"user_id": str(user.pk)}, key=key)
    return str(made["id"])


def _link(user: User, customer: str) -> str:
    try:
        with transaction.atomic():
            CustomerLink.objects.create(user=user, customer=customer)
    except IntegrityError as error:
        known = customer_of(user.pk)
        if known is None:  # another user's since
            raise BillingUnavailable from error
        return known
    return customer


def enqueue(kind: CustomerChange.Kind, *, user_id: uuid.UUID, subscription: str = "") -> None:
    """Queue a change in the caller's transaction, for a user who is a customer; once while the same waits."""
    if not CustomerLink.objects.filter(pk=user_id, deleted_at=None).exists():
        return
    row = CustomerChange(user_id=user_id, kind=kind, subscription=subscription)
    CustomerChange.objects.bulk_create([row], ignore_conflicts=True)
    worker.tell_on_commit()
