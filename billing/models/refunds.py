"""Refunds ordered by staff."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts import approvals
from billing.models.payments import Payment


class RefundRequest(models.Model):
    """Money that staff give back: at once within the daily limit, above it once a second person agrees.

    The id comes from the form, so a form that is sent twice is one request; the refund at Stripe has it in its
    metadata. Only billing/refunds.py writes here.
    """

    Decision = approvals.Decision

    class Kind(models.TextChoices):
        REFUND = "refund"
        UNDO = "undo", "end and refund"  # for a subscription, which ends at once

    id = models.UUIDField(primary_key=True)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refund_requests")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="refund_requests")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    amount = models.BigIntegerField(null=True)  # in the currency's smallest unit; null: all that is left
    at_stake = models.BigIntegerField()  # the most that it could be at the time of the request
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=500)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="refunds_requested", db_index=False
    )
    requested_at = models.DateTimeField(db_default=Now())
    decision = models.CharField(max_length=8, choices=approvals.Decision.choices)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="refunds_decided", db_index=False
    )
    decided_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)  # when Stripe had carried it out

    class Meta:
        permissions = (("approve_refund", "Can approve and refuse refunds of others"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(amount__isnull=True) | Q(amount__gt=0, amount=F("at_stake")),
                name="refund_amount_is_at_stake",
            ),
            models.CheckConstraint(condition=Q(at_stake__gte=0), name="refund_not_negative"),
            models.CheckConstraint(
                condition=~Q(user=F("requested_by"))
                & (
                    Q(decided_by__isnull=True) | (~Q(user=F("decided_by")) & ~Q(decided_by=F("requested_by")))
                ),
                name="refund_not_for_oneself",
            ),
            models.CheckConstraint(
                condition=Q(
                    decision__in=["direct", "pending", "expired"],
                    decided_by__isnull=True,
                    decided_at__isnull=True,
                )
                | Q(decision__in=["approved", "refused"], decided_by__isnull=False, decided_at__isnull=False),
                name="refund_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(done_at__isnull=True) | Q(decision__in=["direct", "approved"]),
                name="refund_done_only_if_agreed",
            ),
        )
        indexes = (
            models.Index(fields=["requested_by", "requested_at"], name="refund_by_asker"),
            models.Index(fields=["requested_at"], condition=Q(decision="pending"), name="refund_pending"),
        )

    def __str__(self) -> str:
        return f"{self.payment_id} ({self.decision})"
