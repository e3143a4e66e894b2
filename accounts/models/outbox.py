"""The messages to be sent: mails, and events for other services."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.kit.leases import Queued
from accounts.models.addresses import MailToken
from accounts.models.users import User


class OutboxMessage(Queued):
    """A mail to be sent, written in the transaction of its cause. It holds ids, never a secret."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=48)
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="outbox_messages")
    token = models.ForeignKey(MailToken, models.CASCADE, null=True, related_name="+")
    # The event that a notice reports, with its time and origin. On a request it means that staff ordered it.
    event = models.ForeignKey("AuditEvent", models.CASCADE, null=True, related_name="+")
    # The address of a request, which may belong to nobody, or of a notice; cleared when handled.
    requested_email = models.CharField(max_length=254, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # When it was handled; `last_error` says why if nothing was sent.
    sent_at = models.DateTimeField(null=True, blank=True)
    DONE, done_at = "sent_at", None
    # As created by the first migration.
    leased_until = models.DateTimeField(null=True, blank=True)
    dead_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        verbose_name = "email"
        indexes = (
            models.Index(
                fields=["due_at"],
                condition=Q(sent_at__isnull=True, dead_at__isnull=True),
                name="outbox_waiting",
            ),
            models.Index(fields=["-created_at", "-id"], name="outbox_newest"),
            models.Index(fields=["kind", "-created_at", "-id"], name="outbox_by_kind"),
            models.Index(
                fields=["-created_at", "-id"], condition=Q(sent_at__isnull=True), name="outbox_unsent"
            ),
            models.Index(
                fields=["-created_at", "-id"], condition=Q(dead_at__isnull=False), name="outbox_dead"
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(sent_at__isnull=True) | Q(dead_at__isnull=True), name="outbox_one_end"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class ServiceEvent(models.Model):
    """Something that other services want to know, written in the transaction in which it happened.

    `position` is its place in the feed. Positions are assigned after the commit, one caller at a time
    (accounts/events/feed.py), so a reader who has seen a position has seen all before it, however late their
    transactions committed.
    """

    id = models.BigAutoField(primary_key=True)
    position = models.BigIntegerField(null=True, unique=True, editable=False)
    type = models.CharField(max_length=48)
    user_id = models.UUIDField()
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "event for services"
        verbose_name_plural = "events for services"
        indexes = (
            models.Index(fields=["id"], condition=Q(position__isnull=True), name="event_without_position"),
            models.Index(fields=["type", "position"], name="event_by_type"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"
