"""Users as Stripe customers, and their billing status."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from billing.models.catalogue import STRIPE_ID, Plan


class CustomerLink(models.Model):
    """The Stripe customer that a user is. Made here before anything is sold; no metadata at Stripe changes it."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True, related_name="customer_link"
    )
    customer = models.CharField(max_length=STRIPE_ID, unique=True)
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)  # at Stripe, together with the account

    def __str__(self) -> str:
        return self.customer


class FormerCustomer(models.Model):
    """A Stripe customer that a user was until it was deleted there; its payments stay the user's."""

    customer = models.CharField(max_length=STRIPE_ID, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="former_customers")
    retired_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.customer


class BillingAccount(models.Model):
    """A user's billing status; it follows the subscription (billing/settlement/lifecycle.py). No row means `none`."""

    class Status(models.TextChoices):
        NONE = "none"
        TRIALING = "trialing"
        ACTIVE = "active"
        PAST_DUE = "past_due"
        FROZEN = "frozen"
        CANCELED = "canceled"

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True, related_name="billing_account"
    )
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.NONE)
    subscription = models.CharField(max_length=STRIPE_ID, blank=True, default="")  # the current or the last
    stripe_status = models.CharField(max_length=24, blank=True, default="")
    # The plan last paid for, the one that follows with the next period, and the one that follows once it is paid.
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="+", db_index=False)
    next_plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="+", db_index=False)
    pending_plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="+", db_index=False)
    pending_expires_at = models.DateTimeField(null=True)
    current_period_end = models.DateTimeField(null=True)
    trial_end = models.DateTimeField(null=True)
    cancel_at_period_end = models.BooleanField(default=False)  # an end is planned
    cancel_at = models.DateTimeField(null=True)  # when it is planned for
    version = models.PositiveBigIntegerField(default=0)  # raised each time Stripe is read
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(status="none") | ~Q(subscription=""), name="billing_status_has_subscription"
            ),
        )
        indexes = (
            models.Index(fields=["-changed_at", "-user"], name="billing_account_newest"),
            models.Index(
                fields=["subscription"],
                condition=~Q(subscription=""),
                opclasses=["varchar_pattern_ops"],
                name="account_subscription_like",
            ),
        )

    def __str__(self) -> str:
        return f"{self.user_id}: {self.status}"
