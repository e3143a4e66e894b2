"""Events of the service, told apart by `type`. Made by script/clients from clients/events.toml; edit that."""

from typing import Any, Literal, TypedDict


class UserRegistered(TypedDict):
    id: int
    type: Literal["user.registered"]
    created_at: str
    user_id: str
    data: dict[str, Any]


class UserVerified(TypedDict):
    id: int
    type: Literal["user.verified"]
    created_at: str
    user_id: str
    data: dict[str, Any]


class UserEmailChanged(TypedDict):
    id: int
    type: Literal["user.email_changed"]
    created_at: str
    user_id: str
    data: dict[str, Any]


class UserSuspended(TypedDict):
    id: int
    type: Literal["user.suspended"]
    created_at: str
    user_id: str
    data: dict[str, Any]


class UserReactivated(TypedDict):
    id: int
    type: Literal["user.reactivated"]
    created_at: str
    user_id: str
    data: dict[str, Any]


class UserDeleted(TypedDict):
    id: int
    type: Literal["user.deleted"]
    created_at: str
    user_id: str
    data: dict[str, Any]


class CreditsAddedData(TypedDict):
    type: str
    transaction_id: str
    amount: int
    balance_after: int


class CreditsAdded(TypedDict):
    id: int
    type: Literal["credits.added"]
    created_at: str
    user_id: str
    data: CreditsAddedData


class CreditsExpiredData(TypedDict):
    transaction_id: str
    amount: int
    balance_after: int


class CreditsExpired(TypedDict):
    id: int
    type: Literal["credits.expired"]
    created_at: str
    user_id: str
    data: CreditsExpiredData


class CreditsDebtData(TypedDict):
    debt: int
    balance: int


class CreditsDebt(TypedDict):
    id: int
    type: Literal["credits.debt"]
    created_at: str
    user_id: str
    data: CreditsDebtData


class CreditsLowData(TypedDict):
    threshold: int
    available: int


class CreditsLow(TypedDict):
    id: int
    type: Literal["credits.low"]
    created_at: str
    user_id: str
    data: CreditsLowData


class PurchaseCompletedData(TypedDict):
    payment: str
    kind: str
    plan: str | None
    name: str | None
    quantity: int | None
    credits: int
    posted: int
    amount: int | None
    kept: int | None
    currency: str
    subscription: str | None


class PurchaseCompleted(TypedDict):
    id: int
    type: Literal["purchase.completed"]
    created_at: str
    user_id: str
    data: PurchaseCompletedData


class PurchaseFailedData(TypedDict):
    session: str
    amount: int
    currency: str


class PurchaseFailed(TypedDict):
    id: int
    type: Literal["purchase.failed"]
    created_at: str
    user_id: str
    data: PurchaseFailedData


class PurchaseRefundedData(TypedDict):
    payment: str
    kind: str
    plan: str | None
    name: str | None
    quantity: int | None
    credits: int
    posted: int
    amount: int | None
    kept: int | None
    currency: str
    subscription: str | None
    refunded: int


class PurchaseRefunded(TypedDict):
    id: int
    type: Literal["purchase.refunded"]
    created_at: str
    user_id: str
    data: PurchaseRefundedData


class PurchaseDisputedData(TypedDict):
    payment: str
    kind: str
    plan: str | None
    name: str | None
    quantity: int | None
    credits: int
    posted: int
    amount: int | None
    kept: int | None
    currency: str
    subscription: str | None
    disputed: int


class PurchaseDisputed(TypedDict):
    id: int
    type: Literal["purchase.disputed"]
    created_at: str
    user_id: str
    data: PurchaseDisputedData


class PurchaseRestoredData(TypedDict):
    payment: str
    kind: str
    plan: str | None
    name: str | None
    quantity: int | None
    credits: int
    posted: int
    amount: int | None
    kept: int | None
    currency: str
    subscription: str | None
    restored: int


class PurchaseRestored(TypedDict):
    id: int
    type: Literal["purchase.restored"]
    created_at: str
    user_id: str
    data: PurchaseRestoredData


class PurchaseCorrectedData(TypedDict):
    payment: str
    kind: str
    plan: str | None
    name: str | None
    quantity: int | None
    credits: int
    posted: int
    amount: int | None
    kept: int | None
    currency: str
    subscription: str | None


class PurchaseCorrected(TypedDict):
    id: int
    type: Literal["purchase.corrected"]
    created_at: str
    user_id: str
    data: PurchaseCorrectedData


class SubscriptionCreatedData(TypedDict):
    subscription: str
    status: str
    plan: str | None
    name: str | None
    next_plan: str | None
    next_name: str | None
    next_amount: int | None
    amount: int | None
    currency: str | None
    current_period_end: str | None
    cancel_at_period_end: bool
    cancel_at: str | None
    trial_end: str | None


class SubscriptionCreated(TypedDict):
    id: int
    type: Literal["subscription.created"]
    created_at: str
    user_id: str
    data: SubscriptionCreatedData


class SubscriptionRenewedData(TypedDict):
    payment: str
    kind: str
    plan: str | None
    name: str | None
    quantity: int | None
    credits: int
    posted: int
    amount: int | None
    kept: int | None
    currency: str
    subscription: str | None


class SubscriptionRenewed(TypedDict):
    id: int
    type: Literal["subscription.renewed"]
    created_at: str
    user_id: str
    data: SubscriptionRenewedData


class SubscriptionChangedData(TypedDict):
    subscription: str
    status: str
    plan: str | None
    name: str | None
    next_plan: str | None
    next_name: str | None
    next_amount: int | None
    amount: int | None
    currency: str | None
    current_period_end: str | None
    cancel_at_period_end: bool
    cancel_at: str | None
    trial_end: str | None


class SubscriptionChanged(TypedDict):
    id: int
    type: Literal["subscription.changed"]
    created_at: str
    user_id: str
    data: SubscriptionChangedData


class SubscriptionChangePendingData(TypedDict):
    subscription: str
    status: str
    plan: str | None
    name: str | None
    next_plan: str | None
    next_name: str | None
    next_amount: int | None
    amount: int | None
    currency: str | None
    current_period_end: str | None
    cancel_at_period_end: bool
    cancel_at: str | None
    trial_end: str | None
    pending_plan: str | None
    pending_name: str | None
    pending_amount: int | None
    pending_expires_at: str | None


class SubscriptionChangePending(TypedDict):
    id: int
    type: Literal["subscription.change_pending"]
    created_at: str
    user_id: str
    data: SubscriptionChangePendingData


class SubscriptionChangeExpiredData(TypedDict):
    subscription: str
    status: str
    plan: str | None
    name: str | None
    next_plan: str | None
    next_name: str | None
    next_amount: int | None
    amount: int | None
    currency: str | None
    current_period_end: str | None
    cancel_at_period_end: bool
    cancel_at: str | None
    trial_end: str | None
    pending_plan: str | None
    pending_name: str | None
    pending_amount: int | None
    pending_expires_at: str | None


class SubscriptionChangeExpired(TypedDict):
    id: int
    type: Literal["subscription.change_expired"]
    created_at: str
    user_id: str
    data: SubscriptionChangeExpiredData


class SubscriptionPaymentFailedData(TypedDict):
    subscription: str
    status: str
    plan: str | None
    name: str | None
    next_plan: str | None
    next_name: str | None
    next_amount: int | None
    amount: int | None
    currency: str | None
    current_period_end: str | None
    cancel_at_period_end: bool
    cancel_at: str | None
    trial_end: str | None


class SubscriptionPaymentFailed(TypedDict):
    id: int
    type: Literal["subscription.payment_failed"]
    created_at: str
    user_id: str
    data: SubscriptionPaymentFailedData


class SubscriptionTrialEndingData(TypedDict):
    subscription: str
    status: str
    plan: str | None
    name: str | None
    next_plan: str | None
    next_name: str | None
    next_amount: int | None
    amount: int | None
    currency: str | None
    current_period_end: str | None
    cancel_at_period_end: bool
    cancel_at: str | None
    trial_end: str | None


class SubscriptionTrialEnding(TypedDict):
    id: int
    type: Literal["subscription.trial_ending"]
    created_at: str
    user_id: str
    data: SubscriptionTrialEndingData


class SubscriptionCanceledData(TypedDict):
    subscription: str
    status: str
    plan: str | None
    name: str | None
    next_plan: str | None
    next_name: str | None
    next_amount: int | None
    amount: int | None
    currency: str | None
    current_period_end: str | None
    cancel_at_period_end: bool
    cancel_at: str | None
    trial_end: str | None


class SubscriptionCanceled(TypedDict):
    id: int
    type: Literal["subscription.canceled"]
    created_at: str
    user_id: str
    data: SubscriptionCanceledData


class SubscriptionDuplicatedData(TypedDict):
    subscription: str
    status: str
    plan: str | None
    name: str | None
    next_plan: str | None
    next_name: str | None
    next_amount: int | None
    amount: int | None
    currency: str | None
    current_period_end: str | None
    cancel_at_period_end: bool
    cancel_at: str | None
    trial_end: str | None
    ending: str


class SubscriptionDuplicated(TypedDict):
    id: int
    type: Literal["subscription.duplicated"]
    created_at: str
    user_id: str
    data: SubscriptionDuplicatedData


class CardExpiringData(TypedDict):
    payment_method: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int


class CardExpiring(TypedDict):
    id: int
    type: Literal["card.expiring"]
    created_at: str
    user_id: str
    data: CardExpiringData


class BillingBalanceCreditedData(TypedDict):
    payment: str
    subscription: str | None
    amount: int
    currency: str


class BillingBalanceCredited(TypedDict):
    id: int
    type: Literal["billing.balance_credited"]
    created_at: str
    user_id: str
    data: BillingBalanceCreditedData


class BillingStatusChangedData(TypedDict):
    status: str


class BillingStatusChanged(TypedDict):
    id: int
    type: Literal["billing.status_changed"]
    created_at: str
    user_id: str
    data: BillingStatusChangedData


Event = (
    UserRegistered
    | UserVerified
    | UserEmailChanged
    | UserSuspended
    | UserReactivated
    | UserDeleted
    | CreditsAdded
    | CreditsExpired
    | CreditsDebt
    | CreditsLow
    | PurchaseCompleted
    | PurchaseFailed
    | PurchaseRefunded
    | PurchaseDisputed
    | PurchaseRestored
    | PurchaseCorrected
    | SubscriptionCreated
    | SubscriptionRenewed
    | SubscriptionChanged
    | SubscriptionChangePending
    | SubscriptionChangeExpired
    | SubscriptionPaymentFailed
    | SubscriptionTrialEnding
    | SubscriptionCanceled
    | SubscriptionDuplicated
    | CardExpiring
    | BillingBalanceCredited
    | BillingStatusChanged
)
"""What the service tells. New types may come: ignore those you do not know."""
