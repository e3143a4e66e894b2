"""Answers for what billing holds about a person. Accounts calls these by the dotted paths in settings."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet
from djstripe.models import Charge, Dispute, Event, Refund
from djstripe.models import Customer as MirroredCustomer

from accounts import hooks
from accounts.models import User
from billing import customers
from billing.models import (
    BillingAccount,
    CustomerChange,
    CustomerLink,
    FormerCustomer,
    InboxEvent,
    Payment,
    RefundRequest,
    Request,
)

# ---------------------------------------------------------------- what happens to an account


def stop_buying(*, user_id: uuid.UUID, reason: str) -> None:
    """Stop payment of anything the user had begun to buy, and renewal of anything they cannot spend.

    Deletions are left to `close`.
    """
    if reason != hooks.DELETION:
        customers.enqueue(CustomerChange.Kind.STOP_BUYING, user_id=user_id)


def buy_again(*, user_id: uuid.UUID, reason: str) -> None:
    """Resume the renewals that were paused while the user could not spend."""
    customers.enqueue(CustomerChange.Kind.STOP_BUYING, user_id=user_id)


def close(*, user_id: uuid.UUID) -> None:
    """End the subscription with its period, as the account is being closed. A user who comes back resumes it."""
    customers.enqueue(CustomerChange.Kind.END_AT_PERIOD, user_id=user_id)


def address_changed(*, user_id: uuid.UUID) -> None:
    customers.enqueue(CustomerChange.Kind.EMAIL, user_id=user_id)


def erase(*, user_id: uuid.UUID) -> None:
    """Null personal data here and in the mirror, and have Stripe delete the customer.

    Payments stay with their amounts, and so do the claims on trials: keyed digests that identify nobody.
    """
    Request.objects.filter(user=user_id).delete()
    RefundRequest.objects.filter(user=user_id).update(reason="")
    for customer in customers.all_of(user_id):
        _erase_mirror(customer)
        InboxEvent.objects.filter(customer=customer).update(body=None)
    customers.enqueue(CustomerChange.Kind.DELETE, user_id=user_id)


def _erase_mirror(customer: str) -> None:
    about = Q(data__object__customer=customer) | Q(data__object__id=customer)
    about |= Q(id__in=InboxEvent.objects.filter(customer=customer).values("event_id"))
    Event.objects.filter(about).update(data={"object": {}}, stripe_data={}, metadata=None)
    for model in (Refund, Dispute):
        _blank(model.objects.filter(charge__in=Charge.objects.filter(customer__id=customer).values("id")))
    for model in _mirrors_of_customers():
        _blank(model.objects.filter(customer__id=customer))
    _blank(MirroredCustomer.objects.filter(id=customer))


def _mirrors_of_customers() -> Iterator[Any]:
    """Yield the models of dj-stripe that refer to a customer."""
    for model in apps.get_app_config("djstripe").get_models():
        fields = {field.name: field for field in model._meta.concrete_fields}  # noqa: SLF001
        if isinstance(fields.get("customer"), models.ForeignKey):
            yield model


def _blank(rows: QuerySet[Any]) -> None:
    names = {field.name for field in rows.model._meta.concrete_fields}  # noqa: SLF001
    blank: dict[str, Any] = {"stripe_data": {}, "metadata": None, "email": ""}
    rows.update(**{name: value for name, value in blank.items() if name in names})


def owners() -> QuerySet[User, Any]:
    """Return the ids of all users who ever bought something, or were about to."""
    links = CustomerLink.objects.filter(pk=OuterRef("pk"))
    former = FormerCustomer.objects.filter(user=OuterRef("pk"))
    users: QuerySet[User, Any] = User.objects.filter(Exists(links) | Exists(former))
    return users.values("pk")


# ---------------------------------------------------------------- the export


def subscriptions(*, user_id: uuid.UUID) -> Iterable[dict[str, Any]]:
    """Yield the account's state, then every payment, newest first."""
    account = BillingAccount.objects.filter(pk=user_id).select_related("plan", "next_plan").first()
    if account is not None and account.subscription:
        yield {
            "subscription": account.subscription,
            "plan": account.plan.code if account.plan else None,
            "next_plan": account.next_plan.code if account.next_plan else None,
            "status": account.status,
            "current_period_end": account.current_period_end,
            "cancel_at_period_end": account.cancel_at_period_end,
        }
    payments = Payment.objects.filter(user=user_id, settled_at__isnull=False).select_related("plan")
    yield from map(_payment, payments.order_by("-created_at", "pk"))


def _payment(payment: Payment) -> dict[str, Any]:
    return {
        "payment": payment.pk,
        "kind": payment.kind,
        "plan": payment.plan.code if payment.plan else None,
        "quantity": payment.quantity,
        "credits": payment.credits,
        "paid": payment.paid,
        "kept": payment.kept,
        "currency": payment.currency,
        "paid_at": payment.paid_at,
    }


# ---------------------------------------------------------------- retention


def old_events(before: Any) -> QuerySet[InboxEvent]:
    return InboxEvent.objects.filter(done_at__lt=before)


def old_dead_events(before: Any) -> QuerySet[InboxEvent]:
    return InboxEvent.objects.filter(dead_at__lt=before)


def old_mirrored_events(before: Any) -> QuerySet[Event]:
    events: QuerySet[Event] = Event.objects.filter(djstripe_created__lt=before)
    return events


def old_requests(before: Any) -> QuerySet[Request]:
    return Request.objects.filter(created_at__lt=before)


def old_changes(before: Any) -> QuerySet[CustomerChange]:
    return CustomerChange.objects.filter(Q(done_at__lt=before) | Q(dead_at__lt=before))
