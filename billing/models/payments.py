"""Payments, and the claims on trials."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from billing.models.catalogue import STRIPE_ID, Plan


class Payment(models.Model):
    """A payment and the credits it is worth: one row per invoice, or per payment intent that belongs to none
    (or, where nothing had to be paid, per checkout session). Its id is theirs.

    The first settlement after it was paid freezes plan, credits, expiry and amount. Each posting to the ledger has the
    key `<id>:<version>`.
    """

    class Kind(models.TextChoices):
        PACK = "pack"
        SUBSCRIPTION = "subscription"
        TRIAL = "trial"
        PRORATION = "proration"  # moves money between periods, gives nothing

    id = models.CharField(max_length=STRIPE_ID, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="payments")
    payment_intent = models.CharField(max_length=STRIPE_ID, blank=True, default="")  # the one that paid it
    subscription = models.CharField(max_length=STRIPE_ID, blank=True, default="")
    version = models.PositiveBigIntegerField(default=0)
    # Frozen together:
    settled_at = models.DateTimeField(null=True)
    kind = models.CharField(max_length=12, choices=Kind.choices, blank=True, default="")
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="payments", db_index=False)
    quantity = models.PositiveIntegerField(null=True)
    credits = models.BigIntegerField(null=True)
    expires_at = models.DateTimeField(null=True)  # of its credits
    paid = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    paid_at = models.DateTimeField(null=True)
    # As of the last settlement:
    kept = models.BigIntegerField(null=True)  # what was paid less refunds and open or lost disputes
    disputed = models.BigIntegerField(default=0)  # what disputes took of it
    granted_by = models.UUIDField(null=True, unique=True)  # the journal row of the grant
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        permissions = (
            ("refund_payment", "Can refund payments at Stripe, and settle them again"),
            ("end_subscription", "Can cancel subscriptions at Stripe"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(
                    settled_at__isnull=True,
                    kind="",
                    plan__isnull=True,
                    credits__isnull=True,
                    paid__isnull=True,
                    kept__isnull=True,
                    granted_by__isnull=True,
                )
                | (
                    Q(settled_at__isnull=False, credits__gte=0, paid__gte=0, quantity__gte=1)
                    & Q(kept__gte=0, kept__lte=F("paid"), paid_at__isnull=False)
                    & ~Q(kind="")
                    & ~Q(currency="")
                ),
                name="payment_frozen_whole",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["pack", "subscription", "trial"]) | Q(plan__isnull=False),
                name="payment_credits_come_from_a_plan",
            ),
            models.CheckConstraint(
                condition=~Q(kind="proration") | Q(credits=0, granted_by__isnull=True),
                name="payment_proration_gives_nothing",
            ),
            models.CheckConstraint(
                condition=Q(disputed=0) | Q(disputed__gt=0, disputed__lte=F("paid") - F("kept")),
                name="payment_disputed_is_not_kept",
            ),
            models.UniqueConstraint(
                fields=["payment_intent"], condition=~Q(payment_intent=""), name="payment_once_per_intent"
            ),
        )
        indexes = (
            models.Index(fields=["user", "-created_at"], name="payment_by_user"),
            models.Index(
                fields=["subscription"], condition=~Q(subscription=""), name="payment_by_subscription"
            ),
            # What revenue is added up from, without a look at the rows.
            models.Index(
                fields=["paid_at"], include=("paid", "kept", "currency", "plan"), name="payment_revenue"
            ),
            # What the admin lists, each the beginning of an index.
            models.Index(fields=["-created_at", "-id"], name="payment_newest"),
            models.Index(fields=["kind", "-created_at", "-id"], name="payment_by_kind"),
            models.Index(fields=["plan", "-created_at", "-id"], name="payment_by_plan"),
            models.Index(fields=["currency", "-created_at", "-id"], name="payment_by_currency"),
        )

    def __str__(self) -> str:
        return self.pk

    @property
    def refunded(self) -> int:
        """Return what refunds took of it."""
        return (self.paid or 0) - (self.kept or 0) - self.disputed


class Revenue(Payment):
    """The page of plots in the admin."""

    class Meta:
        proxy = True
        verbose_name_plural = "revenue"


class TrialClaim(models.Model):
    """A mark that a user, or a card, has had a trial: once, by the key. Keyed digests, which outlive the account.

    `holder` is what the trial was claimed for: a subscription, or the request that is about to make one. It may claim
    again; nothing else may, once `given`.
    """

    class Kind(models.TextChoices):
        USER = "user"
        CARD = "card"

    kind = models.CharField(max_length=4, choices=Kind.choices)
    digest = models.BinaryField()
    holder = models.CharField(max_length=STRIPE_ID)
    given = models.BooleanField(default=False)  # the trial was begun: only then it is used
    claimed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["kind", "digest"], name="trial_once"),)
        indexes = (models.Index(fields=["holder"], name="trial_by_holder"),)

    def __str__(self) -> str:
        return f"{self.kind} of {self.holder}"
