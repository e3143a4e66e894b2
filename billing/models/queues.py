"""Work that waits for a worker: events from Stripe and changes for Stripe; and the progress of reconciliation."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.kit.leases import Queued
from billing.models.catalogue import STRIPE_ID


class InboxEvent(Queued):
    """An event as Stripe delivered it: stored once, then settled, then mirrored."""

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=STRIPE_ID, unique=True)
    type = models.CharField(max_length=100)
    created = models.DateTimeField()  # at Stripe
    livemode = models.BooleanField()
    customer = models.CharField(max_length=STRIPE_ID, blank=True, default="")  # the one it is about
    # The payment or customer that settling it reads; for several events about the same, one read is enough.
    about = models.CharField(max_length=STRIPE_ID, blank=True, default="", db_default="")
    body = models.TextField(null=True)  # noqa: DJ001 -- as received; null once erased
    received_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True)  # credits and account status are right
    mirrored_at = models.DateTimeField(null=True)  # dj-stripe has processed it

    class Meta:
        verbose_name = "event from Stripe"
        verbose_name_plural = "events from Stripe"
        permissions = (("replay_event", "Can retry Stripe events that were given up"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(done_at__isnull=True) | Q(settled_at__isnull=False, mirrored_at__isnull=False),
                name="inbox_done_is_both",
            ),
        )
        indexes = (
            models.Index(
                F("settled_at").asc(nulls_first=True),
                F("created").asc(),
                F("id").asc(),
                condition=Q(done_at__isnull=True, dead_at__isnull=True),
                name="inbox_next",
            ),
            models.Index(
                fields=["about"],
                condition=Q(settled_at__isnull=True) & ~Q(about=""),
                name="inbox_unsettled",
            ),
            models.Index(fields=["dead_at"], condition=Q(dead_at__isnull=False), name="inbox_dead"),
            models.Index(fields=["done_at"], name="inbox_done"),
            models.Index(
                fields=["customer"],
                condition=~Q(customer=""),
                opclasses=["varchar_pattern_ops"],
                name="inbox_customer_like",
            ),
            models.Index(fields=["type", "-id"], name="inbox_by_type"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class CustomerChange(Queued):
    """A change to a customer that Stripe must be told of: written together with its cause, carried out afterwards."""

    class Kind(models.TextChoices):
        EMAIL = "email"  # the address has changed
        STOP_BUYING = "stop_buying"  # the user may buy nothing now, or may again
        END_AT_PERIOD = "end_at_period"  # the account is being closed: nothing renews
        END_SUBSCRIPTION = "end_subscription"  # one subscription, at once
        END_RENEWAL = "end_renewal"  # one subscription of two, with its period
        DELETE = "delete"  # the account is erased

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="customer_changes")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    subscription = models.CharField(max_length=STRIPE_ID, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "pending Stripe update"
        verbose_name_plural = "pending Stripe updates"
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=["end_subscription", "end_renewal"]) & ~Q(subscription="")
                | ~Q(kind__in=["end_subscription", "end_renewal"]) & Q(subscription=""),
                name="change_names_its_subscription",
            ),
            # A worker that has started may have read the address already, so a later change gets a row of its own.
            models.UniqueConstraint(
                fields=["user", "kind", "subscription"],
                condition=Q(done_at__isnull=True, dead_at__isnull=True, leased_until__isnull=True),
                name="change_waits_once",
            ),
        )
        indexes = (
            models.Index(
                fields=["due_at"],
                condition=Q(done_at__isnull=True, dead_at__isnull=True),
                name="change_to_do",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} of {self.user_id}"


class Progress(models.Model):
    """How far reconciliation has read Stripe's lists: `until` a moment or, within an hour, `after` a payment."""

    name = models.CharField(max_length=32, primary_key=True)
    until = models.DateTimeField()
    after = models.CharField(max_length=STRIPE_ID, blank=True, default="", db_default="")

    def __str__(self) -> str:
        return f"{self.name}: {self.until}"
