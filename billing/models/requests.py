"""Calls by services that make something at Stripe once, however often they are repeated."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from billing.models.catalogue import STRIPE_ID


class Request(models.Model):
    """A service's request that reaches Stripe: the same service, user and key take effect once (within 30 days)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    service = models.CharField(max_length=40)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="billing_requests")
    key = models.CharField(max_length=255)
    digest = models.BinaryField()  # keyed, over the operation and the fields sent
    operation = models.CharField(max_length=40)
    leased_until = models.DateTimeField(null=True)  # someone is carrying it out
    # The plan as offered: later edits do not change what the buyer gets.
    plan = models.ForeignKey("billing.Plan", models.SET_NULL, null=True, related_name="+", db_index=False)
    credits = models.BigIntegerField(null=True)  # stored by versions before `terms`
    terms = models.JSONField(null=True)  # the plan's (`Plan.TERMS`)
    stripe_object = models.CharField(max_length=STRIPE_ID, blank=True, default="")  # what it made
    status = models.PositiveSmallIntegerField(null=True)  # HTTP status of the answer
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["service", "user", "key"], name="request_key_once"),
            models.CheckConstraint(
                condition=Q(status__isnull=True, answer__isnull=True)
                | Q(status__isnull=False, answer__isnull=False),
                name="request_answer_is_whole",
            ),
        )
        indexes = (
            models.Index(fields=["created_at"], name="request_age"),
            models.Index(fields=["stripe_object"], condition=~Q(stripe_object=""), name="request_made"),
        )

    def __str__(self) -> str:
        return f"{self.operation} {self.pk}"


class RequestAttempt(models.Model):
    """One attempt at Stripe for a request. Its id is Stripe's idempotency key.

    An attempt that was cut off is repeated under that key; one that Stripe refused is closed, and the next gets
    another.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(Request, models.CASCADE, related_name="attempts", db_index=False)
    started_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    refusal = models.CharField(max_length=64, blank=True, default="")  # the code of the problem

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["request"], condition=Q(closed_at__isnull=True), name="attempt_one_open"
            ),
        )
        indexes = (models.Index(fields=["request", "-started_at"], name="attempt_by_request"),)

    def __str__(self) -> str:
        return str(self.pk)
