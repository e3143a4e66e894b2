"""Events for neighbour services: written where they happen, read as a feed in the order of their commits.

An event's id is given before its transaction commits, so ids may become visible out of order. Positions are given to
events that are already committed, under one lock: a feed by position never skips a late commit.
"""

from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.models import ServiceEvent

ONE_HAND = 7_305_411  # the advisory lock under which positions are given; any number that nothing else uses

GIVE_POSITIONS = """
WITH last AS (SELECT coalesce(max(position), 0) AS position FROM accounts_serviceevent),
fresh AS (
    SELECT id, row_number() OVER (ORDER BY id) AS place FROM accounts_serviceevent WHERE position IS NULL
)
UPDATE accounts_serviceevent AS event SET position = last.position + fresh.place
FROM fresh, last WHERE event.id = fresh.id
"""

EMIT_IF = """
INSERT INTO accounts_serviceevent (type, user_id, data)
SELECT %(type)s, %(user_id)s, '{}'::jsonb WHERE %(wanted)s::boolean
"""


def emit(type: str, *, user_id: UUID, data: dict[str, Any]) -> None:
    """Records an event in the caller's transaction: it exists if, and only if, what it reports does."""
    ServiceEvent.objects.create(type=type, user_id=user_id, data=data)


def emit_if(wanted: bool, type: str, *, user_id: UUID) -> None:  # noqa: FBT001 -- reads as a sentence
    """The same as one statement that is sent either way: whether it writes a row, its sender's timing does not tell."""
    with connection.cursor() as cursor:
        cursor.execute(EMIT_IF, {"wanted": wanted, "type": type, "user_id": user_id})


def feed(types: list[str] | None = None) -> QuerySet[ServiceEvent]:
    """All events that were committed before now, by position, oldest first."""
    give_positions()
    events = ServiceEvent.objects.filter(position__isnull=False).order_by("position")
    return events.filter(type__in=types) if types else events


def give_positions() -> None:
    """Puts committed events into the feed. Costs one index look-up where there are none."""
    if not ServiceEvent.objects.filter(position__isnull=True).exists():
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ONE_HAND])
        cursor.execute(GIVE_POSITIONS)
