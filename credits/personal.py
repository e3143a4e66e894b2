"""Answers for what credits holds about a person. Accounts calls these by the dotted paths in settings."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Max, Q, QuerySet

from accounts.models import User
from credits import export
from credits.answers import BalanceAnswer, TransactionAnswer, balance_answer, transaction_answer
from credits.ledger import balance, clock
from credits.ledger.posting import close_user, open_balances
from credits.models import AdjustmentRequest, CreditLot, CreditTransaction, UserCredit


def registered(*, user_ids: Sequence[uuid.UUID]) -> None:
    """Create the balances of new users."""
    open_balances(user_ids)


def purged(*, user_ids: Sequence[uuid.UUID]) -> None:
    """Delete the balances of users who never had any credits: the database keeps all others."""
    UserCredit.objects.filter(pk__in=user_ids).delete()


def forfeits(*, user_id: uuid.UUID) -> int:
    """Return how many credits the user would lose with the account."""
    return balance.current(user_id).available


def erasure_waits_until(*, user_id: uuid.UUID) -> datetime | None:
    """Return when the last of the holds that are open now runs out, or None. Until then it may be captured."""
    holds = CreditLot.objects.filter(holder_id=user_id, kind=CreditLot.Kind.HOLD, remaining__gt=0)
    until: datetime | None = holds.filter(expires_at__gt=clock.NOW).aggregate(last=Max("expires_at"))["last"]
    return until


def erase(*, user_id: uuid.UUID) -> None:
    """Forfeit what is left and null every text about the user. Amounts, order and chain stay, and still verify."""
    close_user(user_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT credits_erase_texts(%s)", [user_id])
    AdjustmentRequest.objects.filter(user=user_id).update(reason="")


def owners() -> QuerySet[User, Any]:
    """Return the ids of all users who ever had credits or a requested adjustment, or have a block or an alert set."""
    used = UserCredit.objects.exclude(hash=b"", blocked=[], alert_below=None)
    some = Q(pk__in=used.values("pk")) | Q(adjustment_requests__isnull=False)
    users: QuerySet[User, Any] = User.objects.filter(some)
    return users.values("pk")


def balances(*, user_id: uuid.UUID) -> Iterable[BalanceAnswer]:
    return [balance_answer(balance.current(user_id), present=True)]


def transactions(*, user_id: uuid.UUID) -> Iterator[TransactionAnswer]:
    """Yield the whole history, newest first, a page at a time."""
    rows = CreditTransaction.objects.filter(holder_id=user_id)
    return map(transaction_answer, export.newest_first(rows, order=("-at",)))
