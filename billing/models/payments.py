"""Payments and claims on trials."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from billing.models.catalogue import STRIPE_ID, Plan


class Payment(models.Model):
    """A payment and the credits it is worth, under Stripe's id.

    There is one row per invoice, or per payment intent without an invoice (or, if nothing had to be paid, per checkout
    session).

    What it bought is in its lines. Plan, quantity, credits, expiry and grant are those of its main line, the one with
    the most credits: earlier versions, without lines, wrote them here, and may still be serving alongside this one.
    """

    class Kind(models.TextChoices):
        PACK = "pack"
        SUBSCRIPTION = "subscription"
        TRIAL = "trial"
        PRORATION = "proration"  # from a change of plan at Stripe: gives what was paid, at the plan's rate
        NOTHING = "nothing"  # declared to give no credits
        OPEN = "open"  # no plan has its price yet

    id = models.CharField(max_length=STRIPE_ID, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="payments")
    payment_intent = models.CharField(max_length=STRIPE_ID, blank=True, default="")  # the intent that paid it
    subscription = models.CharField(max_length=STRIPE_ID, blank=True, default="")
    version = models.PositiveBigIntegerField(default=0)
    # Frozen together:
    settled_at = models.DateTimeField(null=True)
    kind = models.CharField(max_length=12, choices=Kind.choices, blank=True, default="")
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="payments", db_index=False)
    quantity = models.PositiveIntegerField(null=True)
    credits = models.BigIntegerField(null=True)
    expires_at = models.DateTimeField(null=True)  # when its credits expire
    paid = models.BigIntegerField(null=True)  # by card or similar, or outside Stripe
    from_balance = models.BigIntegerField(
        default=0, db_default=0
    )  # taken from the customer's balance to pay it
    to_balance = models.BigIntegerField(
        default=0, db_default=0
    )  # moved to the customer's balance, by prorations
    currency = models.CharField(max_length=3, blank=True, default="")
    paid_at = models.DateTimeField(null=True)
    # As of the last settlement:
    kept = models.BigIntegerField(
        null=True
    )  # what was paid less refunds and open or lost disputes, not below zero
    refunded = models.BigIntegerField(
        default=0, db_default=0
    )  # by refunds and credit notes, according to Stripe
    disputed = models.BigIntegerField(default=0)  # by disputes, according to Stripe; may overlap with refunds
    granted_by = models.UUIDField(null=True, unique=True)  # the journal row of the main line's grant
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
                    Q(settled_at__isnull=False, credits__gte=0, paid__gte=0, quantity__gte=0)
                    & Q(kept__gte=0, kept__lte=F("paid") + F("from_balance"), paid_at__isnull=False)
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
                condition=Q(from_balance__gte=0, refunded__gte=0, disputed__gte=0),
                name="payment_nothing_negative",
            ),
            models.UniqueConstraint(
                fields=["payment_intent"], condition=~Q(payment_intent=""), name="payment_once_per_intent"
            ),
        )
        indexes = (
            models.Index(fields=["user", "-created_at"], name="payment_by_user"),
            # Stripe's ids: whole ones, and the beginnings that staff search for.
            models.Index(
                fields=["subscription"],
                condition=~Q(subscription=""),
                opclasses=["varchar_pattern_ops"],
                name="payment_subscription_like",
            ),
            models.Index(
                fields=["payment_intent"],
                condition=~Q(payment_intent=""),
                opclasses=["varchar_pattern_ops"],
                name="payment_intent_like",
            ),
            # Revenue is summed from this index alone, without reading the rows.
            models.Index(
                fields=["paid_at"], include=("paid", "kept", "currency", "plan"), name="payment_revenue"
            ),
            # The admin's lists, each the start of an index.
            models.Index(fields=["-created_at", "-id"], name="payment_newest"),
            models.Index(fields=["kind", "-created_at", "-id"], name="payment_by_kind"),
            models.Index(fields=["plan", "-created_at", "-id"], name="payment_by_plan"),
            models.Index(fields=["currency", "-created_at", "-id"], name="payment_by_currency"),
        )

    def __str__(self) -> str:
        return self.pk


class PaymentLine(models.Model):
    """A line of a payment: what it bought, what that gives, and how much of it is paid for.

    The first settlement that finds a plan for its price freezes plan, quantity, credits and value; the first posting
    freezes its expiry. `line` is Stripe's id; it is empty for the one line that stands for a whole payment settled
    before there were lines. A line whose price has no plan is open: it holds back no other line, and waits for a plan.
    """

    class Kind(models.TextChoices):
        PACK = "pack"
        SUBSCRIPTION = "subscription"
        TRIAL = "trial"
        PRORATION = "proration"
        NOTHING = "nothing"  # declared to give no credits
        OPEN = "open"

    payment = models.ForeignKey(Payment, models.CASCADE, related_name="lines", db_index=False)
    line = models.CharField(max_length=STRIPE_ID, blank=True)
    price = models.CharField(max_length=STRIPE_ID, blank=True)
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.OPEN)
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="+", db_index=False)
    quantity = models.PositiveIntegerField(default=1)
    credits = models.BigIntegerField(default=0)
    due = models.BigIntegerField()  # after discounts, with tax, before credit notes
    covered = models.BigIntegerField(default=0)  # the part of it that is paid for, as of the last settlement
    expires_at = models.DateTimeField(null=True)  # when its credits expire
    granted_by = models.UUIDField(null=True, unique=True)  # the journal row of the grant
    created_at = models.DateTimeField(db_default=Now())
    is_bought = False  # something was received for it, or nothing had to be; set by a settlement, not stored

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["payment", "line"], name="line_once"),
            models.CheckConstraint(
                condition=Q(credits__gte=0, due__gte=0, covered__gte=0, covered__lte=F("due")),
                name="line_is_covered_once",
            ),
            models.CheckConstraint(
                condition=Q(credits=0, granted_by__isnull=True) | Q(plan__isnull=False),
                name="line_credits_come_from_a_plan",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["open", "nothing"]) | Q(credits=0),
                name="line_without_plan_gives_nothing",
            ),
        )
        indexes = (
            # Lines that wait for a plan, and lines that should have been granted but were not.
            models.Index(fields=["price"], condition=Q(kind="open"), name="line_open"),
            models.Index(
                fields=["payment"],
                condition=Q(granted_by__isnull=True, credits__gt=0),
                name="line_not_granted",
            ),
        )

    def __str__(self) -> str:
        return f"{self.line or 'all'} of {self.payment_id}"

    @property
    def worth(self) -> int:
        """Return what it is worth now in credits, rounded down: all of it if nothing had to be paid.

        If any part of a proration is kept, it is worth at least one credit.
        """
        if not self.due:
            return self.credits
        least = 1 if self.kind == self.Kind.PRORATION and self.credits and self.covered else 0
        return max(least, self.credits * self.covered // self.due)


class StrangerPayment(models.Model):
    """A payment whose customer is unknown here, settled once staff, or our own mark on the customer, say whose it is.

    It was made in the dashboard, by a payment link, or after restoring a backup that is older than its customer.
    """

    id = models.CharField(max_length=STRIPE_ID, primary_key=True)  # the same as the payment's
    customer = models.CharField(max_length=STRIPE_ID, blank=True, default="")  # empty for a guest
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3, blank=True)
    paid_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_default=Now())
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    assigned_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "payment by an unknown customer"
        verbose_name_plural = "payments by unknown customers"
        permissions = (("assign_payment", "Can assign an unknown customer's payment"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(user__isnull=True, assigned_at__isnull=True)
                | Q(user__isnull=False, assigned_at__isnull=False),
                name="stranger_assigned_whole",
            ),
        )
        indexes = (
            models.Index(fields=["seen_at"], condition=Q(assigned_at__isnull=True), name="stranger_waits"),
            models.Index(
                fields=["customer"],
                condition=~Q(customer=""),
                opclasses=["varchar_pattern_ops"],
                name="stranger_customer_like",
            ),
        )

    def __str__(self) -> str:
        return self.pk


class PaymentDay(models.Model):
    """The sum charged on a day (UTC), at Stripe and according to the payments here. The two must be equal."""

    day = models.DateField()
    currency = models.CharField(max_length=3)
    at_stripe = models.BigIntegerField()
    here = models.BigIntegerField()
    looked_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["day", "currency"], name="payment_day_once"),)
        indexes = (
            models.Index(fields=["day"], condition=~Q(at_stripe=F("here")), name="payment_day_differs"),
        )

    def __str__(self) -> str:
        return f"{self.day} {self.currency}"


class Revenue(Payment):
    """Payments, as the admin plots their revenue."""

    class Meta:
        proxy = True
        verbose_name_plural = "revenue"


class TrialClaim(models.Model):
    """A claim on the one trial of a user or a card, unique by the key. Keyed digests, which outlive the account.

    `holder` is what claimed the trial: a subscription, or the request that is about to make one. It may claim again;
    once `given`, nothing else may.
    """

    class Kind(models.TextChoices):
        USER = "user"
        CARD = "card"

    kind = models.CharField(max_length=4, choices=Kind.choices)
    digest = models.BinaryField()
    holder = models.CharField(max_length=STRIPE_ID)
    given = models.BooleanField(default=False)  # the trial has begun: only then is it used up
    claimed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["kind", "digest"], name="trial_once"),)
        indexes = (models.Index(fields=["holder"], name="trial_by_holder"),)

    def __str__(self) -> str:
        return f"{self.kind} of {self.holder}"
