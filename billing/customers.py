"""Which Stripe customer a user is. The link is ours: nothing that an event says changes it."""

import hashlib
import time
import uuid

from django.db import IntegrityError, transaction

from accounts.errors import UserNotFound
from accounts.models import User
from billing import gateway
from billing.errors import BillingUnavailable
from billing.models import CustomerLink

KEYS = 3
SECONDS_OF_A_KEY = 3600


def user_of(customer: str) -> uuid.UUID | None:
    return CustomerLink.objects.filter(customer=customer).values_list("user_id", flat=True).first()


def is_erased(customer: str) -> bool:
    """Whether this customer was a user who is no more: nothing is kept about them."""
    return CustomerLink.objects.filter(customer=customer, user__status=User.Status.DELETED).exists()


def customer_of(user_id: uuid.UUID) -> str | None:
    return CustomerLink.objects.filter(pk=user_id).values_list("customer", flat=True).first()


def ensure(user_id: uuid.UUID) -> str:
    """The user's customer at Stripe, made if there is none yet: one, however many ask at once and however often an
    answer is lost. Raises UserNotFound and what the gateway raises.
    """
    known = customer_of(user_id)
    if known is not None:
        return known
    user = User.objects.filter(pk=user_id).exclude(status=User.Status.DELETED).first()
    if user is None:
        raise UserNotFound
    return _link(user, _find_or_create(user))


def _find_or_create(user: User) -> str:
    """Stripe forgets an idempotency key after a day, and until then keeps a 500 for it: then another key is tried. Its
    search knows what is older than a minute; a customer too many that nobody is linked to does no harm.
    """
    for attempt in range(KEYS):
        for found in gateway.find_customers(user_id=str(user.pk)):
            if not found.get("deleted"):
                return str(found["id"])
        try:
            return _create(user, attempt)
        except BillingUnavailable as problem:
            if not gateway.was_answered(problem):
                raise
    raise BillingUnavailable


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
    except IntegrityError:
        return customer_of(user.pk) or customer
    return customer
