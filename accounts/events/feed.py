"""Events for other services: written where they happen, and read as a feed in the order of their commits.

An event's id is assigned before its transaction commits, so ids may become visible out of order. Positions are assigned
only to committed events, under one lock, so a feed by position never skips a late commit. accounts/events/dispatch.py
sends them by webhook.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.kit.nudge import Nudge
from accounts.models import ServiceEvent

# One notification for all events of a tenth of a second; pointless once the scheduler has sent the same many times.
sender = Nudge("accounts.tasks.send_events", gather=0.1, good_for=60)

AT_ONCE = 10_000  # positions that one call assigns
ONE_HAND = 7_305_411  # the advisory lock for assigning positions: any number that nothing else uses

GIVE_POSITIONS = """
WITH last AS (SELECT coalesce(max(position), 0) AS position FROM accounts_serviceevent),
fresh AS (
    SELECT id, row_number() OVER (ORDER BY id) AS place FROM accounts_serviceevent WHERE position IS NULL
    ORDER BY id LIMIT %s
)
UPDATE accounts_serviceevent AS event SET position = last.position + fresh.place
FROM fresh, last WHERE event.id = fresh.id
"""

EMIT_IF = """
INSERT INTO accounts_serviceevent (type, user_id, data)
SELECT %(type)s, %(user_id)s, '{}'::jsonb WHERE %(wanted)s::boolean
"""


def emit(type: str, *, user_id: UUID, data: dict[str, Any]) -> None:
    """Record an event in the caller's transaction, so that it exists if, and only if, its cause does."""
    emit_all([ServiceEvent(type=type, user_id=user_id, data=data)])


def emit_all(happened: Sequence[ServiceEvent]) -> None:
    """Record any number of events, in their order, with one statement."""
    if happened:
        ServiceEvent.objects.bulk_create(happened)
        sender.tell_on_commit()


def emit_if(wanted: bool, type: str, *, user_id: UUID) -> None:  # noqa: FBT001 -- reads as a sentence
    """Record an event if `wanted`, with a statement that runs in either case, so that timing does not reveal which."""
    with connection.cursor() as cursor:
        cursor.execute(EMIT_IF, {"wanted": wanted, "type": type, "user_id": user_id})
    sender.tell_on_commit()


class EventAnswer(msgspec.Struct):
    """Something that happened to a user."""

    id: int
    type: str
    created_at: datetime
    user_id: UUID
    data: dict[str, Any]


def event_answer(event: ServiceEvent) -> EventAnswer:
    """Return the event as other services receive it, in the feed and by webhook."""
    return EventAnswer(event.position or 0, event.type, event.created_at, event.user_id, event.data)


def in_order(types: list[str] | None = None) -> QuerySet[ServiceEvent]:
    """Return the events committed before now, by position, oldest first; after a long time without readers, some."""
    give_positions()
    events = ServiceEvent.objects.filter(position__isnull=False).order_by("position")
    return events.filter(type__in=types) if types else events


def give_positions() -> None:
    """Assign positions to committed events, to the oldest AT_ONCE of them: any number would not fit into the time-out.

    If there are none, this costs one index look-up.
    """
    if not has_unplaced():
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ONE_HAND])
        cursor.execute(GIVE_POSITIONS, [AT_ONCE])


def has_unplaced() -> bool:
    return ServiceEvent.objects.filter(position__isnull=True).exists()
