"""Read a user's balance, now or at a past instant, without locks or writes.

What has come due but is not posted yet is included: an account is swept in memory and discarded.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from accounts.errors import UserNotFound
from accounts.kit.prepared import Prepared, uuid_bytes
from accounts.kit.problems import ValidationFailed
from credits.ledger.account import Account
from credits.models import CreditTransaction, UserCredit

_OF_HOLDER = {"holder_id": uuid_bytes}
CURRENT = Prepared(
    "credits_balance",
    """
SELECT credits_now(), c.balance, c.held, c.debt, c.blocked, c.due_at, expiring.amounts, expiring.times
FROM credits_usercredit AS c
LEFT JOIN LATERAL (
    SELECT array_agg(amount ORDER BY expires_at) AS amounts, array_agg(expires_at ORDER BY expires_at) AS times FROM (
        SELECT expires_at, sum(CASE WHEN id = c.open_lot THEN c.open_left ELSE remaining END)::bigint AS amount
        FROM credits_creditlot
        WHERE holder_id = c.holder_id AND kind = 'grant' AND expires_at IS NOT NULL
            AND (remaining > 0 OR id = c.open_lot)
        GROUP BY expires_at) AS lots
    WHERE amount > 0
) AS expiring ON true
WHERE c.holder_id = %(holder_id)s AND c.closed_at IS NULL
""",
    _OF_HOLDER,
)

DUE = Prepared(
    "credits_due",
    "SELECT credits_now(), due_at FROM credits_usercredit WHERE holder_id = %(holder_id)s AND closed_at IS NULL",
    _OF_HOLDER,
)


# Only the first row due at an instant gets that time; the others follow at microsecond intervals. All of them belong
# to the instant: the rows after it, as long as they were posted automatically and were due by then.
AT_AN_INSTANT = """
SELECT balance, held FROM credits_credittransaction WHERE holder_id = %(user)s AND at < coalesce((
    SELECT row.at FROM credits_credittransaction AS row
    LEFT JOIN credits_creditlot AS lot ON lot.holder_id = row.holder_id AND lot.id = (row.lots -> 0 ->> 0)::bigint
    WHERE row.holder_id = %(user)s AND row.at > %(at)s AND (row.type IN ('expiry', 'release') AND row.key IS NULL
        AND row.service = 'system' AND lot.expires_at <= %(at)s) IS NOT TRUE
    ORDER BY row.at LIMIT 1
), 'infinity') ORDER BY at DESC LIMIT 1
"""


@dataclass(slots=True, kw_only=True)
class Balance:
    """One user's credits at one instant. `available` is what can be spent; never negative."""

    user_id: uuid.UUID
    as_of: datetime
    balance: int = 0
    held: int = 0
    debt: int = 0
    expiring: list[tuple[int, datetime]] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)

    @property
    def available(self) -> int:
        return max(0, self.balance - self.held)


def current(user_id: uuid.UUID) -> Balance:
    """Return the current balance, in one statement unless something has come due. Raises UserNotFound."""
    row = CURRENT.one({"holder_id": user_id})
    if row is None:
        raise UserNotFound
    now, balance, held, debt, blocked, due_at, amounts, times = row
    if due_at is not None and due_at <= now:
        return _swept(user_id, now)
    expiring = list(zip(amounts or [], times or [], strict=True))
    return Balance(
        user_id=user_id,
        as_of=now,
        balance=balance,
        held=held,
        debt=debt,
        expiring=expiring,
        blocked=sorted(blocked),
    )


def past(user_id: uuid.UUID, at: datetime) -> Balance:
    """Return the balance at a past instant, including everything that was due by then, posted or not.

    Raises UserNotFound, and ValidationFailed for an instant in the future.
    """
    present = current(user_id)
    if at > present.as_of:
        raise ValidationFailed(("at", "invalid", "This must not be in the future."))
    row = UserCredit.objects.filter(pk=user_id).first()
    if row is not None and row.at <= at:
        return _without_present(_swept(user_id, at))
    with connection.cursor() as cursor:
        cursor.execute(AT_AN_INSTANT, {"user": user_id, "at": at})
        balance, held = cursor.fetchone() or (0, 0)
    return Balance(user_id=user_id, as_of=at, balance=balance, held=held, debt=max(0, held - balance))


def when_due(user_id: uuid.UUID) -> datetime | None:
    """Return the ledger's time if the user has something due by now, else None. One statement. Raises UserNotFound."""
    row = DUE.one({"holder_id": user_id})
    if row is None:
        raise UserNotFound
    now, due_at = row
    return now if due_at is not None and due_at <= now else None


def unposted(user_id: uuid.UUID, now: datetime) -> list[CreditTransaction]:
    """Return the due rows that the next locked call will post, with the same ids and times but no hash yet."""
    row = UserCredit.objects.filter(pk=user_id, due_at__lte=now).first()
    if row is None:
        return []
    account = Account(row, now=now)
    account.sweep()
    return [posting.transaction for posting in account.postings]


def _swept(user_id: uuid.UUID, now: datetime) -> Balance:
    account = Account(UserCredit.objects.get(pk=user_id), now=now)
    account.sweep()
    row = account.row
    return Balance(
        user_id=user_id, as_of=now, balance=row.balance, held=row.held, debt=row.debt, blocked=sorted(row.blocked),
        expiring=_expiring(account),
    )  # fmt: skip


def _expiring(account: Account) -> list[tuple[int, datetime]]:
    amounts: dict[datetime, int] = {}
    for lot in account.live_grants():
        if lot.expires_at is not None:
            amounts[lot.expires_at] = amounts.get(lot.expires_at, 0) + lot.remaining
    return [(amounts[at], at) for at in sorted(amounts)]


def _without_present(balance: Balance) -> Balance:
    """Clear `expiring` and `blocked`, which describe the present only."""
    balance.expiring, balance.blocked = [], []
    return balance
