"""What is sold, who bought it, and what Stripe has told us.

Stripe's own objects are mirrored in dj-stripe's tables, which nothing here refers to: a mirror may lag, be wrong or be
rebuilt. What decides about credits stands here. Constraints hold what must never be: two customers of one user, two
grants for one payment, two trials with one card.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

STRIPE_ID = 255  # the longest that Stripe promises
LARGEST_GRANT = 10**12


class Plan(models.Model):
    """What can be bought: the one place that says how many credits a Stripe price gives. Staff edit it.

    A change holds for payments that are first seen later; those seen before have frozen theirs (`Payment`).
    """

    class Kind(models.TextChoices):
        PACK = "pack"
        SUBSCRIPTION = "subscription"

    class Interval(models.TextChoices):
        DAY = "day"
        WEEK = "week"
        MONTH = "month"
        YEAR = "year"

    code = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    credits = models.BigIntegerField(help_text="For each one bought, or for each period of a subscription.")
    amount = models.BigIntegerField(help_text="In the currency's smallest unit, as Stripe counts.")
    currency = models.CharField(max_length=3, help_text="ISO 4217, small letters.")
    interval = models.CharField(max_length=8, choices=Interval.choices, blank=True, default="")
    trial_days = models.PositiveSmallIntegerField(null=True, blank=True)
    trial_credits = models.BigIntegerField(
        null=True, blank=True, help_text="Of a trial, which ends with it. Empty: as many as a period has."
    )
    credits_expire_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Counted from the payment. Empty: never, or for a subscription the end of the period paid for.",
    )
    stripe_price = models.CharField(max_length=STRIPE_ID, unique=True)
    active = models.BooleanField(default=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(credits__gte=1, credits__lte=LARGEST_GRANT), name="plan_credits_range"
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="plan_amount_not_negative"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[a-z]{3}$"), name="plan_currency_is_iso"),
            models.CheckConstraint(
                condition=Q(kind="pack", interval="", trial_days__isnull=True)
                | (Q(kind="subscription") & ~Q(interval="")),
                name="plan_kind_fits",
            ),
            models.CheckConstraint(
                condition=Q(trial_credits__isnull=True)
                | Q(trial_credits__gte=0, trial_credits__lte=LARGEST_GRANT, trial_days__isnull=False),
                name="plan_trial_credits_range",
            ),
            models.CheckConstraint(
                condition=Q(credits_expire_days__isnull=True)
                | Q(credits_expire_days__gte=1, credits_expire_days__lte=36500),
                name="plan_expiry_range",
            ),
            models.CheckConstraint(
                condition=Q(trial_days__isnull=True) | Q(trial_days__gte=1, trial_days__lte=730),
                name="plan_trial_days_range",
            ),
        )

    def __str__(self) -> str:
        return self.code


class CustomerLink(models.Model):
    """Which Stripe customer a user is. Made by us before anything is sold; no metadata of Stripe's changes it."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True, related_name="customer_link"
    )
    customer = models.CharField(max_length=STRIPE_ID, unique=True)
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)  # at Stripe, with the account

    def __str__(self) -> str:
        return self.customer


class BillingAccount(models.Model):
    """How a user stands: follows the subscription as Stripe has it (billing/lifecycle.py). No row: `none`."""

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
    subscription = models.CharField(max_length=STRIPE_ID, blank=True, default="")  # the current, or the last
    stripe_status = models.CharField(max_length=24, blank=True, default="")
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="+", db_index=False)
    current_period_end = models.DateTimeField(null=True)
    trial_end = models.DateTimeField(null=True)
    cancel_at_period_end = models.BooleanField(default=False)
    version = models.PositiveBigIntegerField(default=0)  # raised by each look at Stripe
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(status="none") | ~Q(subscription=""), name="billing_status_has_subscription"
            ),
        )

    def __str__(self) -> str:
        return f"{self.user_id}: {self.status}"


class Request(models.Model):
    """A request of a service that reaches Stripe: the same service, user and key does one thing (30 days)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    service = models.CharField(max_length=40)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="billing_requests")
    key = models.CharField(max_length=255)
    digest = models.BinaryField()  # keyed, of the operation and the fields sent
    operation = models.CharField(max_length=40)
    leased_until = models.DateTimeField(null=True)  # somebody is carrying it out
    stripe_object = models.CharField(max_length=STRIPE_ID, blank=True, default="")  # what it made
    status = models.PositiveSmallIntegerField(null=True)  # of the answer
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
        indexes = (models.Index(fields=["created_at"], name="request_age"),)

    def __str__(self) -> str:
        return f"{self.operation} {self.pk}"


class RequestAttempt(models.Model):
    """One try of a request at Stripe. Its id is Stripe's idempotency key: a try that was cut off is repeated under it,
    one that Stripe refused is closed, and the next has another."""

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


class Queued(models.Model):
    """A row that workers carry out: claimed by a lease, tried again later, given up after a number of tries."""

    leased_until = models.DateTimeField(null=True)
    due_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=200, blank=True, default="")  # its kind and code, never its text

    class Meta:
        abstract = True


class InboxEvent(Queued):
    """An event as Stripe delivered it: stored once, then settled, then mirrored."""

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=STRIPE_ID, unique=True)
    type = models.CharField(max_length=100)
    created = models.DateTimeField()  # at Stripe
    livemode = models.BooleanField()
    customer = models.CharField(max_length=STRIPE_ID, blank=True, default="")  # whom it is about
    body = models.TextField(null=True)  # noqa: DJ001 -- as it came; null once erased
    received_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True)  # credits and account status are right
    mirrored_at = models.DateTimeField(null=True)  # dj-stripe has had it

    class Meta:
        permissions = (("replay_event", "Can have given up events carried out again"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(done_at__isnull=True) | Q(settled_at__isnull=False, mirrored_at__isnull=False),
                name="inbox_done_is_both",
            ),
        )
        indexes = (
            models.Index(
                fields=["created", "id"],
                condition=Q(done_at__isnull=True, dead_at__isnull=True),
                name="inbox_to_do",
            ),
            models.Index(fields=["dead_at"], condition=Q(dead_at__isnull=False), name="inbox_dead"),
            models.Index(fields=["done_at"], name="inbox_done"),
            models.Index(fields=["customer"], condition=~Q(customer=""), name="inbox_by_customer"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class CustomerChange(Queued):
    """Something that Stripe must be told about a customer: written with its cause, carried out after it."""

    class Kind(models.TextChoices):
        EMAIL = "email"  # the address has changed
        END_AT_PERIOD = "end_at_period"  # the account is being closed: nothing renews
        END_SUBSCRIPTION = "end_subscription"  # one subscription, at once
        DELETE = "delete"  # the account is erased

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="customer_changes")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    subscription = models.CharField(max_length=STRIPE_ID, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(kind="end_subscription") & ~Q(subscription="")
                | ~Q(kind="end_subscription") & Q(subscription=""),
                name="change_names_its_subscription",
            ),
            # A worker that has begun may have read the address already: what comes then is a row of its own.
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


class Payment(models.Model):
    """What was paid once, and the credits it is worth: one row per invoice, or per payment intent that belongs to none
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
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="payments")
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
        indexes = (models.Index(fields=["user", "-created_at"], name="payment_by_user"),)

    def __str__(self) -> str:
        return self.pk

    @property
    def refunded(self) -> int:
        """What refunds took of it."""
        return (self.paid or 0) - (self.kept or 0) - self.disputed


class Revenue(Payment):
    """The page of plots in the admin."""

    class Meta:
        proxy = True
        verbose_name_plural = "revenue"


class TrialClaim(models.Model):
    """That a user, or a card, has had a trial: once, by the key. Keyed digests, which outlive the account.

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


class Progress(models.Model):
    """How far reconciliation has read Stripe's list of events."""

    name = models.CharField(max_length=32, primary_key=True)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.until}"
