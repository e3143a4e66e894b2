"""Budgets: how many credits a service's key may give per day (UTC), counted in the same transaction.

Concurrent givers of one budget wait for each other, so the count is exact; others never wait. The budget's row is
locked after the balances and until the commit. A transaction that fails or repeats counts nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from credits.errors import BudgetExceeded

# A new day starts from zero. If clocks differ, the later day counts.
TAKE = """
INSERT INTO credits_budget AS row (name, day, given)
SELECT %(name)s, %(day)s::date, %(amount)s::bigint WHERE %(amount)s::bigint <= %(daily)s::bigint
ON CONFLICT (name) DO UPDATE SET day = greatest(row.day, excluded.day),
    given = excluded.given + CASE WHEN row.day >= excluded.day THEN row.given ELSE 0 END
WHERE excluded.given + CASE WHEN row.day >= excluded.day THEN row.given ELSE 0 END <= %(daily)s::bigint
RETURNING row.given
"""
GIVEN = "SELECT given FROM credits_budget WHERE name = %(name)s AND day >= %(day)s::date"


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget: the name of its owner, and the most credits per day."""

    name: str
    daily: int

    def take(self, amount: int, *, now: datetime) -> None:
        """Count credits about to be given, as the last step that can refuse them. Raises BudgetExceeded."""
        day = now.astimezone(UTC).date()
        values: dict[str, Any] = {"name": self.name, "day": day, "amount": amount, "daily": self.daily}
        with connection.cursor() as cursor:
            cursor.execute(TAKE, values)
            if cursor.fetchone() is not None:
                return
            cursor.execute(GIVEN, values)
            row = cursor.fetchone()
        raise BudgetExceeded(budget=self.daily, left=max(0, self.daily - (row[0] if row else 0)))
