"""The shapes of the billing endpoints' answers, with an example of each."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from accounts.kit.responses import Response
from billing.models import BillingAccount, Plan
from billing.settlement import trial
from billing.shop.requests import Outcome
from billing.views.asked import ChangeMoment
from credits.answers import BalanceAnswer
from credits.views.examples import USER


class PlanAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Something for sale. `amount` is in the currency's smallest unit."""

    code: str
    name: str
    kind: Literal[tuple(Plan.Kind.values)]  # type: ignore[valid-type]
    credits: Annotated[int, Meta(description="Credits in one pack, or in each period.")]
    amount: int
    currency: str
    interval: Literal[tuple(Plan.Interval.values)] | UnsetType = UNSET  # type: ignore[valid-type]
    interval_count: Annotated[int, Meta(description="How many intervals make a period.")] | UnsetType = UNSET
    trial_days: int | UnsetType = UNSET


class SessionAnswer(msgspec.Struct, kw_only=True):
    """A Stripe page on which the user pays. `credited` is true once its credits are in the balance."""

    id: str
    url: Annotated[str | None, Meta(description="Null once it is paid or has expired.")]
    expires_at: datetime | None
    status: Annotated[str | None, Meta(description="`open`, `complete` or `expired`.")]
    credited: bool


class PortalAnswer(msgspec.Struct):
    url: str


class SetupAnswer(msgspec.Struct):
    id: str
    client_secret: str


class PaymentMethodAnswer(msgspec.Struct, kw_only=True):
    """A stored card. Other methods, such as a bank account, have none of a card's fields."""

    id: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    default: bool


class SubscriptionAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`plan` is the plan last paid for; `status` is Stripe's. If there is a `client_secret`, the user must
    confirm a payment (3-D Secure).
    """

    id: str
    plan: str | None
    status: str
    current_period_end: datetime | None
    cancel_at_period_end: bool
    next_plan: (
        Annotated[str, Meta(description="The plan that starts after this period, or when it is paid for.")]
        | UnsetType
    ) = UNSET
    pending_plan: (
        Annotated[
            str,
            Meta(description="The plan of a change that is waiting for its payment and expires without it."),
        ]
        | UnsetType
    ) = UNSET
    pending_expires_at: datetime | UnsetType = UNSET
    cancel_at: datetime | UnsetType = UNSET
    trial_end: datetime | UnsetType = UNSET
    client_secret: str | UnsetType = UNSET


class ChangePreviewAnswer(msgspec.Struct, kw_only=True):
    """`amount_due`, in the currency's smallest unit, is charged at `date`, and `credits` come with it."""

    plan: str
    when: ChangeMoment
    date: datetime | None
    amount_due: int
    currency: str
    credits: int


class OpenInvoice(msgspec.Struct):
    """An unpaid invoice, in the currency's smallest unit."""

    id: str
    amount_due: int
    currency: str


class DefaultAnswer(PaymentMethodAnswer, kw_only=True):
    """`open_invoices` are unpaid; `pay_open` tries to pay them with the card."""

    open_invoices: list[OpenInvoice]


class InvoiceAnswer(msgspec.Struct, kw_only=True):
    id: str
    number: str | None
    status: str | None
    amount_paid: int
    amount_due: Annotated[int, Meta(description="The amount that can still be paid.")]
    currency: str
    created_at: datetime
    hosted_url: str | None
    pdf_url: str | None


class EligibilityAnswer(msgspec.Struct):
    eligible: bool
    reason: Literal[trial.REASONS]  # type: ignore[valid-type]


class StatusAnswer(msgspec.Struct):
    """`subscription` is the current one, or the last."""

    account_status: Literal[tuple(BillingAccount.Status.values)]  # type: ignore[valid-type]
    subscription: SubscriptionAnswer | None
    credits: BalanceAnswer


def plan_answer(plan: Plan) -> PlanAnswer:
    return PlanAnswer(
        code=plan.code,
        name=plan.name,
        kind=plan.kind,
        credits=plan.credits,
        amount=plan.amount,
        currency=plan.currency,
        interval=plan.interval or UNSET,
        interval_count=plan.interval_count if plan.interval else UNSET,
        trial_days=plan.trial_days or UNSET,
    )


def outcome(found: Outcome) -> Response:
    """Return the answer to a keyed call; a header marks one that was given before."""
    headers = {"Idempotency-Replayed": "true"} if found.replayed else None
    return Response(found.answer, status=found.status, headers=headers)


PACK: dict[str, Any] = {
    "code": "credits-500",
    "name": "500 credits",
    "kind": "pack",
    "credits": 500,
    "amount": 500,
    "currency": "eur",
}
SESSION = {
    "id": "cs_test_a1B2c3",
    "url": "https://checkout.stripe.com/c/pay/cs_test_a1B2c3",
    "expires_at": "2026-11-24T10:00:00Z",
    "status": "open",
    "credited": False,
}
CARD = {
    "id": "pm_1Nx",
    "brand": "visa",
    "last4": "4242",
    "exp_month": 8,
    "exp_year": 2030,
    "default": True,
}
SUBSCRIPTION: dict[str, Any] = {
    "id": "sub_1Nx",
    "plan": "studio-monthly",
    "status": "active",
    "current_period_end": "2026-12-23T10:00:00Z",
    "cancel_at_period_end": False,
}
CHANGE_PREVIEW = {
    "plan": "studio-yearly",
    "when": "now",
    "date": "2026-11-23T10:00:00Z",
    "amount_due": 19000,
    "currency": "eur",
    "credits": 12000,
}
INVOICE = {
    "id": "in_1Nx",
    "number": "8A2C-0001",
    "status": "paid",
    "amount_paid": 1900,
    "amount_due": 0,
    "currency": "eur",
    "created_at": "2026-11-23T10:00:00Z",
    "hosted_url": "https://invoice.stripe.com/i/acct_1/test_1",
    "pdf_url": "https://pay.stripe.com/invoice/acct_1/test_1/pdf",
}
STATUS = {
    "account_status": "active",
    "subscription": SUBSCRIPTION,
    "credits": {
        "user_id": USER,
        "balance": 500,
        "held": 0,
        "debt": 0,
        "available": 500,
        "expiring": [{"amount": 500, "expires_at": "2026-12-23T16:00:00Z"}],
        "blocked": [],
        "as_of": "2026-11-23T10:00:00Z",
    },
}
