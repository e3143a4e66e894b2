"""Webhook subscriptions and their deliveries (accounts/events/dispatch.py sends them)."""

import uuid
from typing import ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.outbox import ServiceEvent


class EventSubscription(models.Model):
    """The URL of another service, and the events it wants.

    `position` is its place in the feed: events up to it have a delivery row if the subscription wants them. While it is
    disabled, its position does not move, so that later events are sent once it is enabled again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=40, unique=True)
    url = models.CharField(max_length=500)
    types = ArrayField(models.CharField(max_length=48), default=list, blank=True)  # none: all types
    # One or two sealed secrets: the first is the newest, each signs (accounts/events/subscriptions.py).
    secrets = models.JSONField(default=list, editable=False)
    position = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    enabled = models.BooleanField(default=True)
    failures_in_a_row = models.PositiveIntegerField(default=0, editable=False)
    rests_until = models.DateTimeField(null=True, blank=True, editable=False)  # its receiver is unavailable

    class Meta:
        verbose_name = "webhook"
        constraints = (
            models.CheckConstraint(
                condition=Q(name__regex=r"^[a-z][a-z0-9_-]{0,39}$"), name="event_subscription_name_form"
            ),
        )

    def __str__(self) -> str:
        return self.name


class EventDeliveryQuerySet(models.QuerySet["EventDelivery"]):
    def open(self) -> Self:
        """Return deliveries that are neither delivered nor dead."""
        return self.filter(delivered_at=None, dead_at=None)


class EventDelivery(models.Model):
    """One event for one subscription. Only a user's oldest open delivery has `due_at`; the others wait for it."""

    id = models.BigAutoField(primary_key=True)
    subscription = models.ForeignKey(EventSubscription, models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(ServiceEvent, models.CASCADE, related_name="deliveries")
    position = models.BigIntegerField()  # the event's, which orders the deliveries
    user_id = models.UUIDField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True, blank=True)
    dead_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=200, blank=True, default="")

    objects: ClassVar[EventDeliveryQuerySet] = EventDeliveryQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        indexes = (
            models.Index(
                fields=["subscription", "due_at"],
                condition=Q(delivered_at__isnull=True, dead_at__isnull=True),
                name="event_delivery_due",
            ),
            models.Index(
                fields=["subscription", "user_id", "position"],
                condition=Q(delivered_at__isnull=True, dead_at__isnull=True),
                name="event_delivery_of_user",
            ),
            models.Index(fields=["dead_at"], condition=Q(dead_at__isnull=False), name="event_delivery_dead"),
            models.Index(
                fields=["delivered_at"], condition=Q(delivered_at__isnull=False), name="event_delivery_done"
            ),
        )
        constraints = (
            models.UniqueConstraint(fields=["subscription", "position"], name="event_delivery_once"),
            models.CheckConstraint(
                condition=Q(delivered_at__isnull=True) | Q(dead_at__isnull=True),
                name="event_delivery_one_end",
            ),
        )

    def __str__(self) -> str:
        return f"event {self.position} for {self.subscription_id}"


class EventDispatch(models.Model):
    """The single row that says which process is sending events, and until when it is presumed alive.

    `backend` is the PostgreSQL process of its connection: when that is gone, so is the sender. Null behind a pooler.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    holder = models.UUIDField(null=True)
    held_until = models.DateTimeField(null=True)
    backend = models.IntegerField(null=True)

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(id=1), name="event_dispatch_one_row"),)

    def __str__(self) -> str:
        return "the sending of events"
