"""Posting what has come due for users who do nothing: expiries and holds that run out.

Nobody's balance depends on it, since every call and every read reckons what is due. It makes the journal, and the
events that follow from it, punctual for idle users.
"""

import uuid

from credits.models import UserCredit
from credits.posting import LEDGER_NOW, sweep_user


def due_users(limit: int) -> list[uuid.UUID]:
    """Users for whom something is due, longest first."""
    rows = UserCredit.objects.filter(due_at__lte=LEDGER_NOW).order_by("due_at")
    return list(rows.values_list("pk", flat=True)[:limit])


def sweep_due(limit: int = 1000) -> int:
    """Posts what is due for up to `limit` users, each in a transaction of its own. Returns how many there were."""
    users = due_users(limit)
    for user_id in users:
        sweep_user(user_id)
    return len(users)
