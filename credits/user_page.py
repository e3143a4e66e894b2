"""What the admin shows of one user's credits."""

from collections.abc import Iterator
from typing import Any

from django.db.models import F, Q, QuerySet

from accounts.models import User
from credits import balance, plots
from credits.balance import Balance
from credits.models import CreditLot, CreditTransaction, Grant, Hold, UserCredit
from credits.past_balances import balance_over_time

MOST_LOTS = 50
RECENT = 20


def context(user: User) -> dict[str, Any]:
    """For a user who never had credits too. Bounded, whatever the user has."""
    row = UserCredit.objects.filter(pk=user.pk).first()
    now = balance.current(user.pk) if user.status != User.Status.DELETED else _left_of(user, row)
    journal = CreditTransaction.objects.filter(user=user)
    return {
        "person": user,
        "now": now,
        "alert_below": row.alert_below if row else None,
        "plot": plots.steps(
            [*balance_over_time(user.pk), (now.as_of, now.balance)], label="Balance over time"
        ),
        "grants": list(_live_grants(row)) if row else [],
        "holds": list(open_holds(user)),
        "transactions": journal.order_by("-at")[:RECENT],
        "requests": user.adjustment_requests.filter(decision="pending").select_related("requested_by"),
    }


def _live_grants(row: UserCredit) -> Iterator[Grant]:
    """In the order they burn, each with what is `left` of it: of the open one the balance row knows."""
    live = Grant.objects.filter(
        Q(remaining__gt=0) | Q(pk=row.open_lot), user_id=row.pk, kind=CreditLot.Kind.GRANT
    )
    for lot in live.order_by("priority", F("expires_at").asc(nulls_last=True), "id")[:MOST_LOTS]:
        lot.remaining = left_of(lot, row)
        if lot.remaining:
            yield lot


def left_of(lot: CreditLot, row: UserCredit | None) -> int:
    return row.open_left if row is not None and row.open_lot == lot.pk else lot.remaining


def open_holds(user: User) -> QuerySet[Hold]:
    holds = Hold.objects.filter(user=user, kind=CreditLot.Kind.HOLD, remaining__gt=0)
    return holds.order_by("expires_at")[:MOST_LOTS]


def _left_of(user: User, row: UserCredit | None) -> Balance:
    """Of an erased user, whom other services no longer see."""
    row = row or UserCredit(user=user, at=user.created_at)
    return Balance(user_id=user.pk, as_of=row.at, balance=row.balance, held=row.held, debt=row.debt)
