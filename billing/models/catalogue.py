"""The plans on sale."""

from collections.abc import Mapping
from copy import copy
from typing import Any, Self

from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now

from billing.errors import PlanNotFound
from credits.models import LARGEST_AMOUNT

STRIPE_ID = 255  # the greatest length that Stripe promises for its ids


class Plan(models.Model):
    """Something that can be bought: the only place that says how many credits a Stripe price gives. Staff edit it.

    A change applies to payments first seen later; those seen before have frozen theirs (`PaymentLine`), and what
    Checkout offered is kept with the request (`Request`). A price that is replaced stays the plan's (`FormerPrice`),
    since subscriptions that began with it renew at it. A plan with 0 credits declares that its price gives nothing,
    such as a set-up fee.
    """

    class Kind(models.TextChoices):
        PACK = "pack"
        SUBSCRIPTION = "subscription"

    class Interval(models.TextChoices):
        DAY = "day"
        WEEK = "week"
        MONTH = "month"
        YEAR = "year"

    # The terms offered to a buyer: an edit before they have paid changes none of them.
    TERMS = (
        "stripe_price", "kind", "credits", "trial_credits", "credits_expire_days", "grace_hours",
        "grace_debit_hours", "grace_invoice_hours",
    )  # fmt: skip

    code = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    credits = models.BigIntegerField(help_text="For each one bought, or for each period of a subscription.")
    amount = models.BigIntegerField(help_text="In the currency's smallest unit, as Stripe counts.")
    currency = models.CharField(max_length=3, help_text="ISO 4217, lower case.")
    interval = models.CharField(max_length=8, choices=Interval.choices, blank=True, default="")
    interval_count = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="3 with the interval month is a quarter."
    )
    trial_days = models.PositiveSmallIntegerField(null=True, blank=True)
    trial_credits = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="Credits of the trial; they end with it. Empty: as many as a period has.",
    )
    credits_expire_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Counted from the payment. Empty: never, or for a subscription the end of the period paid for.",
    )
    grace_hours = models.PositiveIntegerField(
        default=72,
        db_default=72,
        help_text="How long a period's credits outlive it, until a card has paid the next one.",
    )
    grace_debit_hours = models.PositiveIntegerField(
        default=192, db_default=192, help_text="The same, for debits that take days."
    )
    grace_invoice_hours = models.PositiveIntegerField(
        default=792, db_default=792, help_text="The same, where invoices are sent and paid within some weeks."
    )
    stripe_price = models.CharField(max_length=STRIPE_ID, unique=True)
    active = models.BooleanField(default=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(credits__gte=0, credits__lte=LARGEST_AMOUNT), name="plan_credits_range"
            ),
            models.CheckConstraint(
                condition=Q(credits__gte=1) | Q(active=False), name="plan_that_gives_nothing_is_not_sold"
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
                | Q(trial_credits__gte=0, trial_credits__lte=LARGEST_AMOUNT, trial_days__isnull=False),
                name="plan_trial_credits_range",
            ),
            models.CheckConstraint(
                condition=Q(credits_expire_days__isnull=True)
                | Q(credits_expire_days__gte=1, credits_expire_days__lte=36500),
                name="plan_expiry_range",
            ),
            models.CheckConstraint(
                condition=Q(interval_count=1) | Q(interval_count__gte=1, kind="subscription"),
                name="plan_interval_count_fits",
            ),
            models.CheckConstraint(
                condition=Q(trial_days__isnull=True) | Q(trial_days__gte=1, trial_days__lte=730),
                name="plan_trial_days_range",
            ),
        )

    def __str__(self) -> str:
        return self.code

    @transaction.atomic
    def save(self, *args: Any, **options: Any) -> None:
        """Save, and keep a replaced price as a `FormerPrice`: what was sold at it renews at it."""
        before = Plan.objects.filter(pk=self.pk).values_list("stripe_price", flat=True).first()
        super().save(*args, **options)
        if before and before != self.stripe_price:
            FormerPrice.objects.update_or_create(price=before, defaults={"plan": self})

    @property
    def terms(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.TERMS}

    def on_terms(self, terms: Mapping[str, Any]) -> Self:
        """Return a copy of the plan with these terms. It must not be saved."""
        plan = copy(self)
        for name in set(self.TERMS) & set(terms):
            setattr(plan, name, terms[name])
        return plan


class FormerPrice(models.Model):
    """A price that a plan was sold at and that still renews. A plan whose current price it is takes precedence."""

    price = models.CharField(max_length=STRIPE_ID, primary_key=True)
    plan = models.ForeignKey(Plan, models.CASCADE, related_name="former_prices")
    replaced_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.price


def plan_of(price: str) -> Plan | None:
    """Return the plan whose price this is or was."""
    if not price:
        return None
    current = Plan.objects.filter(stripe_price=price).first()
    return current or Plan.objects.filter(former_prices__price=price).first()


def plan_named(code: str, *, kind: Plan.Kind | None = None) -> Plan:
    """Return the plan with this code, if it is on sale and of this kind (of any, if None). Raises PlanNotFound."""
    plan = Plan.objects.filter(code=code, active=True).first()
    if plan is None or (kind is not None and plan.kind != kind):
        raise PlanNotFound
    return plan
