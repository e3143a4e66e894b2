"""The verbs of the ledger. With credits/posting.py and credits/spending.py these are the only writers of credits.

Amounts are whole credits, positive; the verb decides the sign. The same service, user and key does a thing once: the
repeat gets the first answer, marked `replayed`, before expiry, price or status are looked at.
"""

import uuid
from datetime import datetime, timedelta

from accounts.errors import ValidationFailed
from credits.account import PRIORITIES
from credits.calls import Call
from credits.errors import AccountFrozen, AccountSuspended
from credits.models import CreditTransaction, TransactionType
from credits.posting import LockedAccount, perform
from credits.spending import spend_open_grant

LONGEST_LIFE = timedelta(days=36525)  # 100 years
SUSPENDING = frozenset({"suspended", "deletion"})  # the reasons that accounts gives; all others are billing's


def add(
    *, user_id: uuid.UUID, amount: int, call: Call, type: str = TransactionType.BONUS, expires_at: datetime | None = None
) -> CreditTransaction:
    """Gives credits as a new grant, which burns in the order of its type until `expires_at`.

    Raises UserNotFound, BalanceLimit, and ValidationFailed for an expiry that is past or over 100 years away.
    """

    def give(account: LockedAccount) -> CreditTransaction:
        _require_future(expires_at, account.now)
        moves = account.grant(
            amount, source=type, priority=PRIORITIES[TransactionType(type)], expires_at=expires_at, call=call
        )
        return account.post(type, moves, call=call)

    return perform(user_id, call, give)


def use(*, user_id: uuid.UUID, amount: int, call: Call) -> CreditTransaction:
    """Spends credits. Raises UserNotFound, InsufficientCredits, AccountSuspended or AccountFrozen."""
    spent = spend_open_grant(user_id=user_id, amount=amount, call=call)
    return spent or use_locked(user_id=user_id, amount=amount, call=call)


def use_locked(*, user_id: uuid.UUID, amount: int, call: Call) -> CreditTransaction:
    """The same under the lock, for what the one statement leaves: several grants, something due, a repeat, a refusal."""

    def spend(account: LockedAccount) -> CreditTransaction:
        require_spendable(account)
        account.require(amount)
        return account.post(TransactionType.USE, account.draw(amount), call=call)

    return perform(user_id, call, spend)


def adjust(*, user_id: uuid.UUID, amount: int, call: Call) -> CreditTransaction:
    """Corrects a balance by a signed amount; the reason is the call's description. Takes no more than is available."""

    def correct(account: LockedAccount) -> CreditTransaction:
        if amount < 0:
            account.require(-amount)
            return account.post(TransactionType.ADJUSTMENT, account.draw(-amount), call=call)
        moves = account.grant(
            amount, source=TransactionType.ADJUSTMENT, priority=PRIORITIES[TransactionType.ADJUSTMENT],
            expires_at=None, call=call,
        )  # fmt: skip
        return account.post(TransactionType.ADJUSTMENT, moves, call=call)

    return perform(user_id, call, correct)


def require_spendable(account: LockedAccount) -> None:
    """Raises AccountSuspended or AccountFrozen while there is a reason to block spending."""
    if not account.row.blocked:
        return
    raise AccountSuspended if SUSPENDING & set(account.row.blocked) else AccountFrozen


def _require_future(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and not now < expires_at <= now + LONGEST_LIFE:
        raise ValidationFailed(("expires_at", "invalid", "This must be in the future, within 100 years."))
