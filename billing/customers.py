"""Links between users and Stripe customers. They are our own: nothing in an event changes them."""

import hashlib
import hmac
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts.errors import AccountContested, AccountSuspended, UserNotFound
from accounts.kit.nudge import Nudge
from accounts.kit.problems import Problem
from accounts.models import User
from billing.errors import BillingFailed, BillingUnavailable, PaymentOverdue, StripeObjectMissing
from billing.models import BillingAccount, CustomerChange, CustomerLink, FormerCustomer
from billing.stripe import gateway
from billing.stripe.shapes import Object
from credits.ledger.calls import mac_key

KEYS = 3
SECONDS_OF_A_KEY = 3600
LEAVING = "This account is being deleted, so nothing can be bought. Its user can sign in to keep it."

log = structlog.get_logger("billing")
worker = Nudge("billing.tasks.carry_out_changes", gather=0.1)


def user_of(customer: str) -> uuid.UUID | None:
    """Return the user whose customer this is or was."""
    for model in (CustomerLink, FormerCustomer):
        user_id = model.objects.filter(customer=customer).values_list("user_id", flat=True).first()
        if user_id is not None:
            return user_id
    return None


def is_erased(customer: str) -> bool:
    """Return whether this customer's user is erased; nothing is kept about erased users."""
    return bool(User.objects.filter(pk=user_of(customer), status=User.Status.DELETED).exists())


def all_of(user_id: uuid.UUID) -> list[str]:
    """Return the user's current and former customers, the current one first."""
    current = customer_of(user_id)
    former = FormerCustomer.objects.filter(user=user_id).order_by("-retired_at").values_list("pk", flat=True)
    return [*([current] if current else []), *former]


@transaction.atomic
def retire(customer: str) -> None:
    """Retire a customer deleted at Stripe: its payments stay its user's, who gets another with the next call."""
    link = CustomerLink.objects.select_for_update().filter(customer=customer).select_related("user").first()
    if link is None or link.user.status == User.Status.DELETED:
        return
    # At most once: a repeated key may return the customer that it made, which is now deleted.
    FormerCustomer.objects.get_or_create(customer=customer, defaults={"user": link.user})
    log.warning("customer_deleted_at_stripe", customer=customer, user=str(link.pk))
    link.delete()


def retire_if_deleted(user_id: uuid.UUID) -> bool:
    """Retire the user's customer if it is deleted at Stripe; return whether it is. Raises what the gateway raises."""
    customer = customer_of(user_id)
    if customer is None:
        return False
    try:
        gone = bool(gateway.retrieve_customer(customer).get("deleted"))
    except StripeObjectMissing:
        gone = True
    if gone:
        retire(customer)
    return gone


def customer_of(user_id: uuid.UUID) -> str | None:
    return CustomerLink.objects.filter(pk=user_id).values_list("customer", flat=True).first()


def ensure(user_id: uuid.UUID) -> str:
    """Return the user's customer at Stripe, making it if there is none yet.

    There is only ever one, however many calls ask at once and however often an answer is lost. Raises UserNotFound and
    what the gateway raises.
    """
    known = customer_of(user_id)
    if known is not None:
        return known
    user = User.objects.filter(pk=user_id).exclude(status=User.Status.DELETED).first()
    if user is None:
        raise UserNotFound
    return _link(user, _find_or_create(user))


def _find_or_create(user: User) -> str:
    """Find or create one.

    For a day, Stripe keeps what it answered to an idempotency key: a 500 or, as after a restored backup, a customer
    that has since been deleted. Then another key is tried.
    """
    former = set(FormerCustomer.objects.filter(user=user).values_list("pk", flat=True))
    for attempt in range(KEYS + len(former)):
        for found in _made_before(user):
            return str(found["id"])
        with suppress(BillingFailed):
            made = _create(user, attempt, former=len(former))
            if made not in former:
                return made
    raise BillingUnavailable


def _made_before(user: User) -> Iterator[Object]:
    """Yield the user's customers at Stripe.

    Lists have at once what a search finds after a minute, but go by the address, which may have changed.
    """
    candidates = gateway.list_customers(email=user.email) if user.email else []
    for found in [*candidates, *gateway.find_customers(user_id=str(user.pk))]:
        is_theirs = (found.get("metadata") or {}).get("user_id") == str(user.pk)
        if is_theirs and not found.get("deleted") and user_of(found["id"]) in {None, user.pk}:
            yield found


def _create(user: User, attempt: int, *, former: int) -> str:
    """Create one under a key that, as far as we know, made none of the former ones."""
    email = user.email or ""
    fields = f"{user.pk} {email} {int(time.time() // SECONDS_OF_A_KEY)} {attempt} {former}"
    key = f"customer-{hashlib.sha256(fields.encode()).hexdigest()}"
    made = gateway.create_customer(email=email or None, metadata=marks(user.pk), key=key)
    return str(made["id"])


def _link(user: User, customer: str) -> str:
    try:
        with transaction.atomic():
            CustomerLink.objects.create(user=user, customer=customer)
    except IntegrityError as error:
        known = customer_of(user.pk)
        if known is None:  # another user has it by now
            raise BillingUnavailable from error
        return known
    return customer


# ---------------------------------------------------------------- the user of an unknown customer


def marks(user_id: uuid.UUID) -> dict[str, str]:
    """Return our marks for a customer's metadata: its user, and the proof that we wrote them."""
    return {"user_id": str(user_id), "proof": _proofs(user_id)[0]}


def _proofs(user_id: uuid.UUID) -> list[str]:
    """Return our keyed digests of user and environment, under every configured key, newest first.

    A customer copied from another environment, or whose metadata someone else wrote, does not have one.
    """
    text = f"{settings.TOKEN_ISSUER} {settings.STRIPE_LIVE_MODE} {user_id}".encode()
    return [
        hashlib.blake2b(text, digest_size=16, key=mac_key(key), person=b"customer").hexdigest()
        for key in settings.LEDGER_DIGEST_KEYS
    ]


def adopt(customer: str) -> uuid.UUID | None:
    """Link a customer that is unknown here but ours by its mark, as after a restored backup.

    Return None if the mark is missing or wrong, its user is gone or has another customer, or two customers claim the
    same user: staff then say whose it is. Raises what the gateway raises.
    """
    user = claimant(customer)
    with transaction.atomic():
        if user is None or _link(user, customer) != customer:
            return None
        _tell_how_its_user_stands(user.pk)
    log.warning("customer_linked_again", customer=customer, user=str(user.pk))
    return user.pk


def claimant(customer: str) -> User | None:
    """Return the user of an unknown customer by its mark, on the terms of `adopt`; change nothing."""
    user = _marked_user(gateway.retrieve_customer(customer)) if customer else None
    if user is None or customer_of(user.pk) is not None:
        return None
    claimants = {found["id"] for found in _made_before(user) if _marked_user(found) == user}
    return None if claimants - {customer} else user


def _marked_user(found: Object) -> User | None:
    metadata = found.get("metadata") or {}
    try:
        user_id = uuid.UUID(str(metadata.get("user_id")))
    except ValueError:
        return None
    given = str(metadata.get("proof") or "").encode()
    if not any(hmac.compare_digest(given, proof.encode()) for proof in _proofs(user_id)):
        return None
    user: User | None = User.objects.filter(pk=user_id).exclude(status=User.Status.DELETED).first()
    return user


@transaction.atomic
def assign(customer: str, user_id: uuid.UUID) -> None:
    """Assign a customer to a user: as their customer or, if they have one, as a former one."""
    if user_of(customer) is not None:
        return
    if customer_of(user_id) is None:
        CustomerLink.objects.create(user_id=user_id, customer=customer)
    else:
        FormerCustomer.objects.create(user_id=user_id, customer=customer)
    _tell_how_its_user_stands(user_id)


def _tell_how_its_user_stands(user_id: uuid.UUID) -> None:
    """Catch up on what was missed while the customer was unknown: its user is suspended, or leaving."""
    if User.objects.filter(pk=user_id, deletes_at__isnull=False).exists():
        enqueue(CustomerChange.Kind.END_AT_PERIOD, user_id=user_id)
    elif not may_buy(user_id):
        enqueue(CustomerChange.Kind.STOP_BUYING, user_id=user_id)


# ---------------------------------------------------------------- who may buy


def require_active(user_id: uuid.UUID) -> None:
    """Refuse a user who is suspended, leaving or contested, and so may buy nothing.

    Raises UserNotFound, AccountSuspended, AccountContested.
    """
    user = User.objects.filter(pk=user_id).only("status", "contested_at").first()
    if user is None or user.status == User.Status.DELETED:
        raise UserNotFound
    if user.status == User.Status.PENDING_DELETION:
        raise AccountSuspended(LEAVING)
    if not user.is_active:
        raise AccountSuspended
    if user.contested_at is not None:
        raise AccountContested


def require_buyer(user_id: uuid.UUID) -> None:
    """Refuse a user who may not start to pay for anything, including one who could not spend what they buy.

    Raises what `require_active` raises, and PaymentOverdue.
    """
    require_active(user_id)
    if BillingAccount.objects.filter(pk=user_id, status=BillingAccount.Status.FROZEN).exists():
        raise PaymentOverdue


def may_buy(user_id: uuid.UUID) -> bool:
    """Return whether `require_buyer` would let the user through."""
    try:
        require_buyer(user_id)
    except Problem:
        return False
    return True


def is_shut_out(user_id: uuid.UUID) -> bool:
    """Return whether the user is kept from using what renews, being suspended or contested."""
    shut_out = Q(status=User.Status.SUSPENDED) | Q(contested_at__isnull=False)
    return bool(User.objects.filter(shut_out, pk=user_id).exists())


def enqueue(kind: CustomerChange.Kind, *, user_id: uuid.UUID, subscription: str = "") -> None:
    """Queue a change in the caller's transaction if the user is a customer; once while the same change waits."""
    if not CustomerLink.objects.filter(pk=user_id, deleted_at=None).exists():
        return
    row = CustomerChange(user_id=user_id, kind=kind, subscription=subscription)
    CustomerChange.objects.bulk_create([row], ignore_conflicts=True)
    worker.tell_on_commit()
