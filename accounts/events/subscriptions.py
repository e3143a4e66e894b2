"""Manage webhook subscriptions, for the admin and `manage.py event_subscription`.

The secret exists as text only in the response to its creator; the row has it sealed, since each delivery needs it.
"""

import base64
import hashlib
import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from accounts import audit
from accounts.audit import Event
from accounts.events import addresses, feed
from accounts.events.addresses import AddressRefused
from accounts.kit import names, sealing
from accounts.models import EventDelivery, EventSubscription, ServiceEvent

SECRET_BYTES = 32
TYPE_FORM = re.compile(r"[a-z]+\.[a-z_]+")


class SubscriptionRefused(Exception):
    """The request breaks a rule; the message, meant for people, says which."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A subscription and its new secret, which is shown once."""

    subscription: EventSubscription
    secret: str


def context_of_secrets(subscription: EventSubscription) -> str:
    return f"accounts.EventSubscription.secrets:{subscription.pk}"


def secrets_of(subscription: EventSubscription) -> list[str]:
    context = context_of_secrets(subscription)
    return [sealing.open(sealed, context=context) for sealed in subscription.secrets]


def mark_of_newest(subscription: EventSubscription) -> str:
    """Return a mark that changes with each rotation, and reveals nothing about the secret."""
    return hashlib.sha256("".join(subscription.secrets[:1]).encode()).hexdigest()[:16]


@transaction.atomic
def create(*, name: str, url: str, types: Collection[str], actor: str, reason: str = "") -> Issued:
    """Create a subscription to events from now on; without `types`, to all of them. Raise SubscriptionRefused."""
    if not names.OPERATORS.fullmatch(name):
        raise SubscriptionRefused(
            "A name starts with a letter from a to z, followed by up to 39 of a-z, 0-9, - and _."
        )
    if EventSubscription.objects.filter(name=name).exists():
        raise SubscriptionRefused(f"A subscription {name!r} already exists.")
    while feed.has_unplaced():
        feed.give_positions()
    last = ServiceEvent.objects.aggregate(last=Max("position"))["last"] or 0
    subscription = EventSubscription(name=name, url=_checked_url(url), types=_checked(types), position=last)
    secret = _new_secret(subscription)
    subscription.save(force_insert=True)
    _audit(Event.WEBHOOK_CREATED, subscription, actor, reason)
    return Issued(subscription, secret)


@transaction.atomic
def rotate(*, name: str, actor: str, reason: str = "", newest: str | None = None) -> Issued:
    """Add a new secret. The previous one also signs until `retire`; the one before that is dropped.

    With `newest`, do so only while this is the mark of the newest secret: a form sent twice must rotate once, or the
    secret that the receiver knows would be dropped. Raise SubscriptionRefused.
    """
    subscription = _locked(name)
    if newest is not None and newest != mark_of_newest(subscription):
        raise SubscriptionRefused("It has been given a new secret since this page was opened.")
    secret = _new_secret(subscription)
    subscription.save(update_fields=["secrets"])
    _audit(Event.WEBHOOK_ROTATED, subscription, actor, reason)
    return Issued(subscription, secret)


@transaction.atomic
def retire(*, name: str, actor: str, reason: str = "") -> bool:
    """Sign with only the newest secret from now on. Return False if there was no other."""
    subscription = _locked(name)
    if len(subscription.secrets) < 2:
        return False
    subscription.secrets = subscription.secrets[:1]
    subscription.save(update_fields=["secrets"])
    _audit(Event.WEBHOOK_RETIRED, subscription, actor, reason)
    return True


@transaction.atomic
def change(
    *,
    name: str,
    actor: str,
    url: str | None = None,
    types: Collection[str] | None = None,
    enabled: bool | None = None,
    reason: str = "",
) -> EventSubscription:
    """Change the URL or the types (for events without a delivery yet), or pause; events are kept during a pause."""
    subscription = _locked(name)
    if url is not None:
        subscription.url = _checked_url(url)
    if types is not None:
        subscription.types = _checked(types)
    if enabled is not None:
        subscription.enabled = enabled
    subscription.failures_in_a_row, subscription.rests_until = 0, None
    subscription.save(update_fields=["url", "types", "enabled", "failures_in_a_row", "rests_until"])
    _audit(Event.WEBHOOK_CHANGED, subscription, actor, reason)
    feed.sender.tell_on_commit()
    return subscription


def pause_gone(subscription: EventSubscription) -> None:
    """Pause a subscription whose receiver answered 410, and wants no more (Standard Webhooks).

    Events are kept until staff enable it again.
    """
    if EventSubscription.objects.filter(pk=subscription.pk, enabled=True).update(enabled=False):
        subscription.enabled = False
        _audit(Event.WEBHOOK_GONE, subscription, actor="receiver", reason="")


@transaction.atomic
def send_again(delivery_ids: Iterable[int], *, actor: str) -> int:
    """Requeue those of these deliveries that are delivered or dead, with all their attempts. Return how many."""
    chosen = EventDelivery.objects.filter(pk__in=list(delivery_ids)).exclude(delivered_at=None, dead_at=None)
    revived = chosen.update(
        delivered_at=None, dead_at=None, attempts=0, due_at=Now(), last_error="", last_status=None
    )
    if revived:
        audit.record(Event.EVENTS_SENT_AGAIN, user_id=None, actor=actor, detail={"deliveries": revived})
        feed.sender.tell_on_commit()
    return revived


def dead_of(name: str) -> list[int]:
    """Return the ids of a subscription's dead letters, oldest first. Raise SubscriptionRefused."""
    subscription = _named(name)
    dead = EventDelivery.objects.filter(subscription=subscription, dead_at__isnull=False)
    return list(dead.order_by("position").values_list("pk", flat=True))


def _named(name: str) -> EventSubscription:
    subscription = EventSubscription.objects.filter(name=name).first()
    if subscription is None:
        raise SubscriptionRefused(f"Subscription {name!r} not found.")
    return subscription


def _locked(name: str) -> EventSubscription:
    subscription = EventSubscription.objects.select_for_update(no_key=True).filter(name=name).first()
    return subscription or _named(name)


def _new_secret(subscription: EventSubscription) -> str:
    text = f"whsec_{base64.b64encode(os.urandom(SECRET_BYTES)).decode()}"
    sealed = sealing.seal(text, context=context_of_secrets(subscription))
    subscription.secrets = [sealed, *subscription.secrets[:1]]
    return text


def _checked_url(url: str) -> str:
    try:
        addresses.parse(url)
    except AddressRefused as refusal:
        raise SubscriptionRefused(str(refusal)) from None
    return url


def _checked(types: Collection[str]) -> list[str]:
    for type_ in types:
        if not TYPE_FORM.fullmatch(type_):
            raise SubscriptionRefused(
                f"{type_!r} is not a valid event type; expected something like credits.low."
            )
    return sorted(set(types))


def _audit(event: Event, subscription: EventSubscription, actor: str, reason: str) -> None:
    detail = {"subscription": subscription.name, "types": subscription.types, "enabled": subscription.enabled}
    if reason:
        detail["reason"] = reason
    audit.record(event, user_id=None, actor=actor, detail=detail)
