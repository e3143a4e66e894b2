"""Every refusal of the ledger; each is an `accounts.kit.problems.Problem`. A refused call leaves its key unused.

InsufficientCredits 402      available, required
SpendingBlocked 403
+-- AccountSuspended         suspended, or on its way to deletion
+-- AccountContested         two mailboxes claim it
+-- AccountFrozen            frozen by billing
BalanceLimit 409
BudgetExceeded 409           budget, left
FeatureNotFound, TransactionNotFound, HoldNotFound 404
HoldNotOpen, CaptureExceedsHold 409
RefundExceedsUse, TransactionNotRefundable 409
"""

from accounts.kit.problems import NotFound, Problem


class InsufficientCredits(Problem):
    status_code = 402
    default_code = "insufficient_credits"
    default_detail = "Not enough credits."
    members = {"available": int, "required": int}
    example = {"available": 40, "required": 100}

    def __init__(self, *, available: int, required: int) -> None:
        super().__init__(available=available, required=required)


class SpendingBlocked(Problem):
    status_code = 403


class AccountSuspended(SpendingBlocked):
    default_code = "account_suspended"
    default_detail = "This account is suspended or about to be deleted: its credits cannot be spent."


class AccountContested(SpendingBlocked):
    default_code = "account_contested"
    default_detail = "Two addresses claim this account. Its credits cannot be spent until staff have decided."


class AccountFrozen(SpendingBlocked):
    default_code = "account_frozen"
    default_detail = "This account's credits are frozen until a payment is settled."


class BalanceLimit(Problem):
    status_code = 409
    default_code = "balance_limit"
    default_detail = "The balance would exceed 9007199254740991 credits."


class BudgetExceeded(Problem):
    status_code = 409
    default_code = "budget_exceeded"
    default_detail = "This key's daily budget does not cover that many credits. It resets at midnight UTC."
    members = {"budget": int, "left": int}
    example = {"budget": 1000, "left": 40}

    def __init__(self, *, budget: int, left: int) -> None:
        super().__init__(budget=budget, left=left)


class FeatureNotFound(NotFound):
    default_code = "feature_not_found"
    default_detail = "Feature not found: it has no price."


class TransactionNotFound(NotFound):
    default_code = "transaction_not_found"
    default_detail = "Transaction not found."


class HoldNotFound(NotFound):
    default_code = "hold_not_found"
    default_detail = "Hold not found."


class HoldNotOpen(Problem):
    status_code = 409
    default_code = "hold_not_open"
    default_detail = "This hold was captured or released, or has expired."


class CaptureExceedsHold(Problem):
    status_code = 409
    default_code = "capture_exceeds_hold"
    default_detail = "A capture cannot exceed what is held."


class RefundExceedsUse(Problem):
    status_code = 409
    default_code = "refund_exceeds_use"
    default_detail = "The refunds of a use cannot exceed it in total."


class TransactionNotRefundable(Problem):
    status_code = 409
    default_code = "transaction_not_refundable"
    default_detail = "Only a use can be refunded."


def explained(problem: Problem) -> str:
    """Describe a refusal to someone on a page or at a terminal: its detail, followed by its numbers."""
    extra = ", ".join(f"{name} {value}" for name, value in problem.extra.items() if value is not None)
    return f"{problem.detail} ({extra})" if extra else str(problem.detail)
