"""An exception for each code of a refusal. Made by script/clients from the OpenAPI documents; edit those."""

from typing import Any

from auth_service_client.errors import Problem


class APIKeyInvalid(Problem):
    """The API key is not valid."""


class APIKeyMissing(Problem):
    """Send the service's key in the header X-API-Key."""


class AccountContested(Problem):
    """Two addresses claim this account. Its credits cannot be spent until staff have decided."""


class AccountFrozen(Problem):
    """This account's credits are frozen until a payment is settled."""


class AccountSuspended(Problem):
    """This account is suspended or about to be deleted: its credits cannot be spent."""


class AlreadySubscribed(Problem):
    """This user already has a subscription."""


class BadRequest(Problem):
    """The request is malformed."""


class BalanceLimit(Problem):
    """The balance would exceed 9007199254740991 credits."""


class BillingRejected(Problem):
    """The payment provider rejected this request."""

    reason: str | None


class BillingUnavailable(Problem):
    """The payment provider is not responding. Repeat the call with the same Idempotency-Key."""


class BodyTooLarge(Problem):
    """The body is larger than this call accepts."""

    limit: int


class BodyUnreadable(Problem):
    """The body ended early or is not framed correctly."""


class BudgetExceeded(Problem):
    """This key's daily budget does not cover that many credits. It resets at midnight UTC."""

    budget: int
    left: int


class CancellationPending(Problem):
    """This subscription is set to end. To keep it and change its plan, set `resume` to true."""


class CaptureExceedsHold(Problem):
    """A capture cannot exceed what is held."""


class ChangePending(Problem):
    """Another change to this subscription is waiting for payment. Pay it or let it expire first."""


class CursorInvalid(Problem):
    """The cursor does not belong to this list with these filters."""


class FeatureNotFound(Problem):
    """Feature not found: it has no price."""


class HoldNotFound(Problem):
    """Hold not found."""


class HoldNotOpen(Problem):
    """This hold was captured or released, or has expired."""


class IdempotencyInProgress(Problem):
    """A request with this Idempotency-Key is still being processed. Repeat it in a moment."""


class IdempotencyKeyInvalid(Problem):
    """The Idempotency-Key must be 1 to 255 printable ASCII characters."""


class IdempotencyKeyRequired(Problem):
    """Send an Idempotency-Key header, so that the call can be repeated safely."""


class IdempotencyKeyReused(Problem):
    """This Idempotency-Key was used for another request. Use a new key for a new request."""


class InsufficientCredits(Problem):
    """Not enough credits."""

    available: int
    required: int


class LastPaymentMethod(Problem):
    """This is the only card of a subscription that renews. Store another one or end it first."""


class MalformedJSON(Problem):
    """The body is not valid JSON."""


class NotFound(Problem):
    """Nothing was found at this address."""


class NotReady(Problem):
    """This process is not ready; `checks` says why."""

    checks: dict[str, Any]


class PaymentFailed(Problem):
    """The payment was declined."""

    decline_code: str | None


class PaymentMethodRequired(Problem):
    """A trial needs a payment method."""


class PaymentOverdue(Problem):
    """An invoice for this user's subscription is unpaid. Credits cannot be spent until it is paid."""


class PlanNotFound(Problem):
    """Plan not found."""


class RefundExceedsUse(Problem):
    """The refunds of a use cannot exceed it in total."""


class ScopeMissing(Problem):
    """This API key lacks the scope that the call needs."""


class ServiceUnavailable(Problem):
    """The service is temporarily unavailable. Try again."""


class TransactionNotFound(Problem):
    """Transaction not found."""


class TransactionNotRefundable(Problem):
    """Only a use can be refunded."""


class TrialUsed(Problem):
    """This user or card has already had a trial."""


class UnknownField(Problem):
    """Unknown field in the request body."""

    errors: list[dict[str, str]]


class UnsupportedMediaType(Problem):
    """Send `Content-Type: application/json`, in UTF-8."""


class UserNotFound(Problem):
    """User not found."""


class ValidationError(Problem):
    """The request has invalid fields."""

    errors: list[dict[str, str]]


BY_CODE: dict[str, type[Problem]] = {
    "api_key_invalid": APIKeyInvalid,
    "api_key_missing": APIKeyMissing,
    "account_contested": AccountContested,
    "account_frozen": AccountFrozen,
    "account_suspended": AccountSuspended,
    "already_subscribed": AlreadySubscribed,
    "bad_request": BadRequest,
    "balance_limit": BalanceLimit,
    "billing_rejected": BillingRejected,
    "billing_unavailable": BillingUnavailable,
    "body_too_large": BodyTooLarge,
    "body_unreadable": BodyUnreadable,
    "budget_exceeded": BudgetExceeded,
    "cancellation_pending": CancellationPending,
    "capture_exceeds_hold": CaptureExceedsHold,
    "change_pending": ChangePending,
    "cursor_invalid": CursorInvalid,
    "feature_not_found": FeatureNotFound,
    "hold_not_found": HoldNotFound,
    "hold_not_open": HoldNotOpen,
    "idempotency_in_progress": IdempotencyInProgress,
    "idempotency_key_invalid": IdempotencyKeyInvalid,
    "idempotency_key_required": IdempotencyKeyRequired,
    "idempotency_key_reused": IdempotencyKeyReused,
    "insufficient_credits": InsufficientCredits,
    "last_payment_method": LastPaymentMethod,
    "malformed_json": MalformedJSON,
    "not_found": NotFound,
    "not_ready": NotReady,
    "payment_failed": PaymentFailed,
    "payment_method_required": PaymentMethodRequired,
    "payment_overdue": PaymentOverdue,
    "plan_not_found": PlanNotFound,
    "refund_exceeds_use": RefundExceedsUse,
    "scope_missing": ScopeMissing,
    "service_unavailable": ServiceUnavailable,
    "transaction_not_found": TransactionNotFound,
    "transaction_not_refundable": TransactionNotRefundable,
    "trial_used": TrialUsed,
    "unknown_field": UnknownField,
    "unsupported_media_type": UnsupportedMediaType,
    "user_not_found": UserNotFound,
    "validation_error": ValidationError,
}
