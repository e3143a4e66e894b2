"""The verbs of the ledger, of which credits/ledger/holds.py and credits/ledger/refunds.py hold the rest.

Amounts are whole credits, positive; the verb decides the sign. The same service, user and key does a thing once: the
repeat gets the first answer, marked `replayed`, before expiry, price or status are looked at.

A verb is `perform`ed with an operation: what it does to an account once the lock is had and the key is new. Batches
(credits/ledger/batch.py) carry out the same operations.
"""

import uuid
from datetime import datetime, timedelta

from accounts.kit import metrics
from accounts.kit.problems import ValidationFailed
from credits.errors import AccountFrozen, AccountSuspended, FeatureNotFound
from credits.ledger.account import PRIORITIES, Account
from credits.ledger.calls import Call
from credits.ledger.posting import Operation, perform
from credits.ledger.spending import spend_open_grant
from credits.models import CreditTransaction, TransactionType

LONGEST_LIFE = timedelta(days=36525)  # 100 years
SUSPENDING = frozenset({"suspended", "deletion"})  # the reasons that accounts gives; all others are billing's


def add(
    *,
    user_id: uuid.UUID,
    amount: int,
    call: Call,
    type: str = TransactionType.BONUS,
    expires_at: datetime | None = None,
) -> CreditTransaction:
    """Gives credits as a new grant, which burns in the order of its type until `expires_at`.

    Raises UserNotFound, BalanceLimit, and ValidationFailed for an expiry that is past or over 100 years away.
    """
    return perform(
        user_id, call, adding(amount=amount, call=call, type=type, expires_at=expires_at), kind=type
    )


def adding(
    *, amount: int, call: Call, type: str, expires_at: datetime | None
) -> Operation[CreditTransaction]:
    def give(account: Account) -> CreditTransaction:
        _require_future(expires_at, account.now)
        moves = account.grant(
            amount, source=type, priority=PRIORITIES[TransactionType(type)], expires_at=expires_at, call=call
        )
        return account.post(type, moves, call=call)

    return give


def use(*, user_id: uuid.UUID, amount: int | None, call: Call) -> CreditTransaction:
    """Spends credits; `amount` is None for a feature without a price.

    Raises UserNotFound, FeatureNotFound, InsufficientCredits, AccountSuspended or AccountFrozen.
    """
    spent = amount and spend_open_grant(user_id=user_id, amount=amount, call=call)
    if spent:
        metrics.count(metrics.LEDGER, "use", "fast", "ok")
    return spent or use_locked(user_id=user_id, amount=amount, call=call)


def use_locked(*, user_id: uuid.UUID, amount: int | None, call: Call) -> CreditTransaction:
    """The same under the lock, for what the one statement leaves: several grants, a repeat, a refusal."""
    return perform(user_id, call, using(amount=amount, call=call), kind=TransactionType.USE)


def using(*, amount: int | None, call: Call) -> Operation[CreditTransaction]:
    def spend(account: Account) -> CreditTransaction:
        if amount is None:
            raise FeatureNotFound
        require_spendable(account)
        account.require(amount)
        return account.post(TransactionType.USE, account.draw(amount), call=call)

    return spend


def adjust(*, user_id: uuid.UUID, amount: int, call: Call) -> CreditTransaction:
    """Corrects a balance by a signed amount; the reason is the call's description. Takes no more than is available.

    Raises UserNotFound, BalanceLimit or InsufficientCredits.
    """

    def take(account: Account) -> CreditTransaction:
        account.require(-amount)
        return account.post(TransactionType.ADJUSTMENT, account.draw(-amount), call=call)

    give = adding(amount=amount, call=call, type=TransactionType.ADJUSTMENT, expires_at=None)
    return perform(user_id, call, give if amount > 0 else take, kind=TransactionType.ADJUSTMENT)


def require_spendable(account: Account) -> None:
    """Raises AccountSuspended or AccountFrozen while there is a reason to block spending."""
    if not account.row.blocked:
        return
    raise AccountSuspended if SUSPENDING & set(account.row.blocked) else AccountFrozen


def _require_future(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and not now < expires_at <= now + LONGEST_LIFE:
        raise ValidationFailed(("expires_at", "invalid", "This must be in the future, within 100 years."))
