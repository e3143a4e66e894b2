"""Made by script/clients from the OpenAPI documents; edit those."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict
from uuid import UUID


class AddOperation(TypedDict):
    op: Literal["add"]
    user_id: str | UUID
    amount: int
    type: NotRequired[Literal["adjustment", "bonus", "purchase"]]
    description: NotRequired[str | None]
    reference: NotRequired[str | None]
    expires_at: NotRequired[str | datetime | None]
    metadata: NotRequired[dict[str, Any] | None]
    idempotency_key: NotRequired[str]


class AddCreditsBody(TypedDict):
    user_id: str | UUID
    amount: int
    type: NotRequired[Literal["adjustment", "bonus", "purchase"]]
    description: NotRequired[str | None]
    reference: NotRequired[str | None]
    expires_at: NotRequired[str | datetime | None]
    metadata: NotRequired[dict[str, Any] | None]


class AlertAnswer(TypedDict):
    user_id: str
    threshold: int | None


class AlertBody(TypedDict):
    user_id: str | UUID
    threshold: int | None


class BalanceAnswer(TypedDict):
    """A user's credits. A past balance has neither `expiring` nor `blocked`."""

    user_id: str
    balance: int
    held: int
    debt: int
    available: int
    expiring: NotRequired[list[Expiring]]
    blocked: NotRequired[list[str]]
    as_of: str


class BatchAnswer(TypedDict):
    results: list[Result]


class BatchBody(TypedDict):
    operations: list[
        UseOperation | AddOperation | HoldOperation | CaptureOperation | ReleaseOperation | RefundOperation
    ]


class CancelSubscriptionBody(TypedDict):
    user_id: str | UUID
    at_period_end: NotRequired[bool]


class CaptureOperation(TypedDict):
    op: Literal["capture"]
    hold_id: str | UUID
    amount: NotRequired[int | None]
    description: NotRequired[str | None]
    reference: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]
    idempotency_key: NotRequired[str]


class CaptureHoldBody(TypedDict):
    amount: NotRequired[int | None]
    description: NotRequired[str | None]
    reference: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]


class ChangePreviewAnswer(TypedDict):
    """`amount_due`, in the currency's smallest unit, is charged at `date`, and `credits` come with it."""

    plan: str
    when: Literal["now", "period_end"]
    date: str | None
    amount_due: int
    currency: str
    credits: int


class ChangeSubscriptionBody(TypedDict):
    user_id: str | UUID
    plan: NotRequired[str | None]
    when: NotRequired[Literal["now", "period_end"] | None]
    resume: NotRequired[bool | None]
    next_plan: NotRequired[None]


class CheckoutSessionsBody(TypedDict):
    user_id: str | UUID
    plan: str
    success_url: str
    cancel_url: str
    quantity: NotRequired[int | None]


class Checks(TypedDict):
    """`migrations` is `behind` while the database lacks a migration of this version."""

    database: NotRequired[Literal["behind", "ok", "unknown", "unreachable"]]
    migrations: NotRequired[Literal["behind", "ok", "unknown", "unreachable"]]
    redis: NotRequired[Literal["behind", "ok", "unknown", "unreachable"]]


class DefaultAnswer(TypedDict):
    """`open_invoices` are unpaid; `pay_open` tries to pay them with the card."""

    id: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    default: bool
    open_invoices: list[OpenInvoice]


class DefaultPaymentMethodBody(TypedDict):
    user_id: str | UUID
    pay_open: NotRequired[bool]


class EligibilityAnswer(TypedDict):
    eligible: bool
    reason: Literal["eligible", "had_subscription", "in_trial", "trial_used"]


class EndTrialBody(TypedDict):
    user_id: str | UUID


class EventAnswer(TypedDict):
    """Something that happened to a user."""

    id: int
    type: str
    created_at: str
    user_id: str
    data: dict[str, Any]


class Expiring(TypedDict):
    amount: int
    expires_at: str


class FieldProblem(TypedDict):
    """One entry of the `errors` of a `validation_error` or an `unknown_field`."""

    field: str
    code: str
    detail: str


class FoundUsers(TypedDict):
    results: list[KnownUser]


class HoldOperation(TypedDict):
    op: Literal["hold"]
    user_id: str | UUID
    amount: int
    expires_in: NotRequired[int]
    description: NotRequired[str | None]
    reference: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]
    idempotency_key: NotRequired[str]


class HoldAnswer(TypedDict):
    """Credits set aside. `captured` is how many of them were spent when the hold was settled."""

    id: str
    user_id: str
    status: Literal["captured", "expired", "open", "released"]
    amount: int
    captured: int
    expires_at: str | None
    description: str | None
    reference: str | None
    metadata: dict[str, Any] | None
    service: str
    created_at: str
    transaction: NotRequired[TransactionAnswer]


class HoldsBody(TypedDict):
    user_id: str | UUID
    amount: int
    expires_in: NotRequired[int]
    description: NotRequired[str | None]
    reference: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]


class IntrospectBody(TypedDict):
    token: str
    token_type_hint: NotRequired[str | None]


class Introspection(TypedDict):
    """RFC 7662, 2.2. If the token is not live, `active` is the only member."""

    active: bool
    sub: NotRequired[str]
    sid: NotRequired[str]
    iat: NotRequired[int]
    exp: NotRequired[int]
    email_verified: NotRequired[bool]
    status: NotRequired[str]
    amr: NotRequired[list[str]]


class InvoiceAnswer(TypedDict):
    id: str
    number: str | None
    status: str | None
    amount_paid: int
    amount_due: int
    currency: str
    created_at: str
    hosted_url: str | None
    pdf_url: str | None


class KeySet(TypedDict):
    """RFC 7517, 5."""

    keys: list[dict[str, Any]]


class KnownUser(TypedDict):
    """The part of a user that other services may see."""

    id: str
    email: str | None
    email_verified: bool
    display_name: str
    status: str
    created_at: str


class LiveAnswer(TypedDict):
    status: Literal["ok"]


class LookUpUsersBody(TypedDict):
    emails: NotRequired[list[str] | None]
    ids: NotRequired[list[str | UUID] | None]


class OpenInvoice(TypedDict):
    """An unpaid invoice, in the currency's smallest unit."""

    id: str
    amount_due: int
    currency: str


class PayInvoiceBody(TypedDict):
    user_id: str | UUID
    payment_method: NotRequired[str | None]


class PaymentMethodAnswer(TypedDict):
    """A stored card. Other methods, such as a bank account, have none of a card's fields."""

    id: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    default: bool


class PlanAnswer(TypedDict):
    """Something for sale. `amount` is in the currency's smallest unit."""

    code: str
    name: str
    kind: Literal["pack", "subscription"]
    credits: int
    amount: int
    currency: str
    interval: NotRequired[Literal["day", "month", "week", "year"]]
    interval_count: NotRequired[int]
    trial_days: NotRequired[int]


class PortalAnswer(TypedDict):
    url: str


class PortalSessionsBody(TypedDict):
    user_id: str | UUID
    return_url: str


class ReadyAnswer(TypedDict):
    status: Literal["degraded", "ok"]
    checks: Checks


class RefundOperation(TypedDict):
    op: Literal["refund"]
    transaction_id: str | UUID
    amount: NotRequired[int | None]
    description: NotRequired[str | None]
    idempotency_key: NotRequired[str]


class RefundCreditsBody(TypedDict):
    transaction_id: str | UUID
    amount: NotRequired[int | None]
    description: NotRequired[str | None]


class ReleaseOperation(TypedDict):
    op: Literal["release"]
    hold_id: str | UUID
    idempotency_key: NotRequired[str]


class Result(TypedDict):
    """The outcome of one operation: the status and the body with which the single call would respond."""

    status: int
    replayed: bool
    transaction: NotRequired[TransactionAnswer]
    hold: NotRequired[HoldAnswer]
    problem: NotRequired[dict[str, Any]]


class ResumeSubscriptionBody(TypedDict):
    user_id: str | UUID


class ServerMetadata(TypedDict):
    """RFC 8414, 2. It names no endpoints for authorization codes or ID tokens: this service issues
    neither.
    """

    issuer: str
    jwks_uri: str
    response_types_supported: list[str]
    grant_types_supported: list[str]


class SessionAnswer(TypedDict):
    """A Stripe page on which the user pays. `credited` is true once its credits are in the balance."""

    id: str
    url: str | None
    expires_at: str | None
    status: str | None
    credited: bool


class SetupAnswer(TypedDict):
    id: str
    client_secret: str


class SetupIntentsBody(TypedDict):
    user_id: str | UUID


class StatusAnswer(TypedDict):
    """`subscription` is the current one, or the last."""

    account_status: Literal["active", "canceled", "frozen", "none", "past_due", "trialing"]
    subscription: SubscriptionAnswer | None
    credits: BalanceAnswer


class SubscriptionAnswer(TypedDict):
    """`plan` is the plan last paid for; `status` is Stripe's. If there is a `client_secret`, the user must
    confirm a payment (3-D Secure).
    """

    id: str
    plan: str | None
    status: str
    current_period_end: str | None
    cancel_at_period_end: bool
    next_plan: NotRequired[str]
    pending_plan: NotRequired[str]
    pending_expires_at: NotRequired[str]
    cancel_at: NotRequired[str]
    trial_end: NotRequired[str]
    client_secret: NotRequired[str]


class SubscriptionsBody(TypedDict):
    user_id: str | UUID
    plan: str
    payment_method: NotRequired[str | None]
    trial: NotRequired[bool | None]


class TransactionAnswer(TypedDict):
    """One row of the journal."""

    id: str
    user_id: str
    type: str
    amount: int
    balance_after: int
    held_after: int
    description: str | None
    reference: str | None
    metadata: dict[str, Any] | None
    service: str
    created_at: str
    refund_of: NotRequired[str]
    hold_id: NotRequired[str]
    feature: NotRequired[str]
    quantity: NotRequired[int]
    unit_price: NotRequired[int]


class UseOperation(TypedDict):
    op: Literal["use"]
    user_id: str | UUID
    amount: NotRequired[int | None]
    feature: NotRequired[str | None]
    quantity: NotRequired[int | None]
    description: NotRequired[str | None]
    reference: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]
    idempotency_key: NotRequired[str]


class UseCreditsBody(TypedDict):
    user_id: str | UUID
    amount: NotRequired[int | None]
    feature: NotRequired[str | None]
    quantity: NotRequired[int | None]
    description: NotRequired[str | None]
    reference: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]


class ListEventsQuery(TypedDict):
    types: NotRequired[str | None]
    limit: NotRequired[int]


class GetBalanceQuery(TypedDict):
    user_id: str | UUID
    at: NotRequired[str | datetime | None]


class ListTransactionsQuery(TypedDict):
    user_id: NotRequired[str | UUID | None]
    type: NotRequired[
        Literal[
            "purchase",
            "subscription",
            "bonus",
            "trial",
            "refund",
            "adjustment",
            "chargeback",
            "use",
            "expiry",
            "hold",
            "release",
            "forfeit",
        ]
        | None
    ]
    reference: NotRequired[str | None]
    since: NotRequired[str | datetime | None]
    until: NotRequired[str | datetime | None]
    limit: NotRequired[int]


class ListHoldsQuery(TypedDict):
    user_id: NotRequired[str | UUID | None]
    status: NotRequired[Literal["captured", "expired", "open", "released"] | None]
    limit: NotRequired[int]


class GetAlertQuery(TypedDict):
    user_id: str | UUID


class ListPlansQuery(TypedDict):
    limit: NotRequired[int]


class GetCheckoutQuery(TypedDict):
    user_id: str | UUID


class ListStoredCardsQuery(TypedDict):
    user_id: str | UUID
    limit: NotRequired[int]


class RemoveStoredCardQuery(TypedDict):
    user_id: str | UUID
    cancel_at_period_end: NotRequired[bool]


class ListSubscriptionsQuery(TypedDict):
    user_id: str | UUID
    limit: NotRequired[int]


class PreviewChangeQuery(TypedDict):
    user_id: str | UUID
    plan: str
    when: NotRequired[Literal["now", "period_end"] | None]


class ListInvoicesQuery(TypedDict):
    user_id: str | UUID
    limit: NotRequired[int]


class CheckTrialEligibilityQuery(TypedDict):
    user_id: str | UUID


class GetUserBillingStatusQuery(TypedDict):
    user_id: str | UUID
