"""The ledger's verbs, each carried out alone, in its own transaction.

Amounts are whole credits, positive except for `adjust`; the verb decides the sign. The same service, user and key take
effect once: a repeat gets the first answer, marked `replayed`, before expiry, price or status are checked.
"""

from datetime import datetime, timedelta
from uuid import UUID

from accounts.kit.problems import Problem
from credits.errors import TransactionNotFound
from credits.ledger import holds, one_statement, operations
from credits.ledger.budgets import Budget
from credits.ledger.calls import Call
from credits.ledger.posting import count_operation, perform
from credits.models import CreditTransaction, TransactionType


def add(
    *,
    user_id: UUID,
    amount: int,
    call: Call,
    type: str = TransactionType.BONUS,
    expires_at: datetime | None = None,
    budget: Budget | None = None,
) -> CreditTransaction:
    """Give credits as a new grant, which burns in the order of its type until `expires_at`.

    Raises UserNotFound, BalanceLimit, BudgetExceeded, and ValidationFailed for an expiry in the past or more than 100
    years away.
    """
    added = operations.add(amount=amount, call=call, type=type, expires_at=expires_at, budget=budget)
    return perform(user_id, added)


def use(*, user_id: UUID, amount: int | None, call: Call) -> CreditTransaction:
    """Spend credits; `amount` is None for a feature without a price.

    Most uses take one statement, and most refusals one more. The rest goes through the lock, such as a use of several
    grants or a repeat. Raises UserNotFound, FeatureNotFound, InsufficientCredits or SpendingBlocked.
    """
    if amount:
        done = one_statement.use(user_id=user_id, amount=amount, call=call) or one_statement.shortfall(
            user_id=user_id, amount=amount, call=call
        )
        count_operation(done, kind=TransactionType.USE, path="fast")
        if isinstance(done, Problem):
            raise done
        if done:
            return done
    return perform(user_id, operations.use(amount=amount, call=call))


def adjust(*, user_id: UUID, amount: int, call: Call) -> CreditTransaction:
    """Correct a balance by a signed amount, for the reason in the call's description. Takes at most what is available.

    Raises UserNotFound, BalanceLimit or InsufficientCredits.
    """
    return perform(user_id, operations.adjust(amount=amount, call=call))


def hold(*, user_id: UUID, amount: int, lifetime: timedelta, call: Call) -> CreditTransaction:
    """Set credits aside until they are captured or released, or the lifetime ends. The row's id is the hold's.

    Raises UserNotFound, InsufficientCredits or SpendingBlocked.
    """
    return perform(user_id, operations.hold(amount=amount, lifetime=lifetime, call=call))


def capture(*, hold_id: UUID, amount: int | None, call: Call) -> CreditTransaction:
    """Spend a hold, or `amount` of it; the rest returns to its grants.

    An open hold can be captured even if its grant has expired or the user has been blocked since. Raises HoldNotFound,
    HoldNotOpen or CaptureExceedsHold.
    """
    found = holds.find(hold_id, service=call.service)
    return perform(found.holder_id, operations.capture(found, amount=amount, call=call))


def release(*, hold_id: UUID, call: Call) -> CreditTransaction:
    """Return a hold to its grants. Raises HoldNotFound or HoldNotOpen."""
    found = holds.find(hold_id, service=call.service)
    return perform(found.holder_id, operations.release(found, call=call))


def refund(
    *,
    transaction_id: UUID,
    amount: int | None,
    call: Call,
    own_only: bool = False,
    budget: Budget | None = None,
) -> CreditTransaction:
    """Return a use or a capture, or part of it, to the grants it was drawn from, last drawn first.

    Without `amount`, return all that is left of it. Together, the refunds of a use never exceed it. With `own_only`,
    only the calling service's own uses can be refunded. Raises TransactionNotFound, TransactionNotRefundable,
    RefundExceedsUse, or BudgetExceeded; only refunds of other services' uses count towards the budget.
    """
    used = CreditTransaction.objects.filter(pk=transaction_id).first()
    if used is None or (own_only and used.service != call.service):
        raise TransactionNotFound
    return perform(used.holder_id, operations.refund(used, amount=amount, call=call, budget=budget))


def charge_back(*, user_id: UUID, granted_by: UUID, amount: int, call: Call) -> CreditTransaction | None:
    """Take back a grant: its own remainder first, then other live grants in burn order; the rest becomes debt.

    Take at most what was issued less what expired and what was already taken back; if that is nothing, post no row and
    return None. Open holds are honoured. `granted_by` is the journal row that made the grant.
    """
    return perform(user_id, operations.charge_back(granted_by=granted_by, amount=amount, call=call))


def restore(*, user_id: UUID, granted_by: UUID, amount: int, call: Call) -> CreditTransaction | None:
    """Undo a chargeback: credits go back to where they were taken from, after debt, last taken first."""
    return perform(user_id, operations.restore(granted_by=granted_by, amount=amount, call=call))
