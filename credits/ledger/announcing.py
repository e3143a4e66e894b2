"""Tell other services of a change to a user's credits, in the same transaction.

credits.added    credits arrived: `type` says how (purchase, bonus, refund, ...)
credits.expired  a grant expired with credits left in it
credits.debt     the user owes more than before: a chargeback took credits that were already spent
credits.low      available credits fell below the requested threshold, or were below it when it was set
"""

from collections.abc import Iterator
from typing import Any

from accounts.models import ServiceEvent
from credits.ledger.account import Account
from credits.models import CreditTransaction, TransactionType


def of(account: Account) -> Iterator[ServiceEvent]:
    """Yield the events of an account that is being saved: those of its rows, in order, then those of its state."""
    for posting in account.postings:
        row = posting.transaction
        if row.amount > 0:
            yield _event(account, "credits.added", type=row.type, **_amount(row))
        elif row.type == TransactionType.EXPIRY:
            yield _event(account, "credits.expired", **_amount(row))
    if account.row.debt > account.debt_before:
        yield _event(account, "credits.debt", debt=account.row.debt, balance=account.row.balance)
    for available in account.alerts:
        yield low(account, available)


def low(account: Account, available: int) -> ServiceEvent:
    return _event(account, "credits.low", threshold=account.row.alert_below, available=available)


def _amount(row: CreditTransaction) -> dict[str, Any]:
    return {"transaction_id": str(row.pk), "amount": abs(row.amount), "balance_after": row.balance}


def _event(account: Account, type_: str, **data: Any) -> ServiceEvent:
    return ServiceEvent(type=type_, user_id=account.row.holder_id, data=data)
