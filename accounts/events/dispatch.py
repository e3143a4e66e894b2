"""Send events to other services by webhook: at least once, and in order for each user.

The rows are the truth. An event is written in the transaction of its cause (accounts/events/feed.py). After the commit,
this module assigns its position in the feed, and adds a delivery row for each subscription that wants it. One process
at a time does this, under a lease that expires, or ends sooner with the process's database connection; its threads only
talk to receivers. Whatever a killed process or the broker loses is found again. This is not a queue of kit/leases.py,
whose workers claim one row each: a user's events must go one after another, and only a single process can limit how
many go to one receiver at once.

A failed delivery is retried with growing delays. It holds back its user's later events for this subscription, and no
one else's; after the last attempt it is a dead letter, and they continue. A receiver that fails several times in a row
is left alone for a while, and then tried with one event, not with all.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now

from accounts.events import feed, sending, subscriptions
from accounts.events.sending import Outcome
from accounts.kit import metrics
from accounts.models import EventDelivery, EventDispatch, EventSubscription

SECONDS_OF_A_RUN = 10.0
LEASE = timedelta(seconds=20)
AT_ONCE, AT_ONCE_TO_ONE = 16, 4
FANNED_OUT_AT_ONCE = 1000
FAILURES_BEFORE_REST = 3
LONGEST_REST = 60.0
LOOK_EVERY = 0.2  # seconds

log = structlog.get_logger("events")

# A killed process's connection is closed by the kernel and its backend ends, so nobody waits for the lease. If the
# backend's number has been reused or is unknown (NULL lists all), the only cost is the wait. A pooler's backend proves
# nothing: it may end while the process lives, and outlive the process.
TAKE = """
INSERT INTO accounts_eventdispatch AS dispatch (id, holder, held_until, backend)
VALUES (1, %(holder)s::uuid, clock_timestamp() + %(lease)s * interval '1 second',
    CASE WHEN %(pooled)s THEN NULL ELSE pg_backend_pid() END)
ON CONFLICT (id) DO UPDATE
SET holder = excluded.holder, held_until = excluded.held_until, backend = excluded.backend
WHERE dispatch.holder = excluded.holder OR dispatch.held_until IS NULL OR dispatch.held_until <= clock_timestamp()
    OR NOT EXISTS (SELECT FROM pg_stat_get_activity(dispatch.backend))
RETURNING id
"""

# One statement advances the subscription and writes its deliveries; if run concurrently, only the first has an effect.
FAN_OUT = """
WITH fresh AS (
    SELECT id, position, user_id, type FROM accounts_serviceevent
    WHERE position > %(position)s ORDER BY position LIMIT %(most)s
), moved AS (
    UPDATE accounts_eventsubscription SET position = (SELECT max(position) FROM fresh)
    WHERE id = %(subscription)s AND position = %(position)s AND EXISTS (SELECT FROM fresh)
    RETURNING id, position, types
), written AS (
    INSERT INTO accounts_eventdelivery (subscription_id, event_id, position, user_id, attempts, last_error, due_at)
    SELECT moved.id, fresh.id, fresh.position, fresh.user_id, 0, '',
        CASE WHEN row_number() OVER (PARTITION BY fresh.user_id ORDER BY fresh.position) = 1
            AND NOT EXISTS (
                SELECT FROM accounts_eventdelivery AS open
                WHERE open.subscription_id = moved.id AND open.user_id = fresh.user_id
                    AND open.delivered_at IS NULL AND open.dead_at IS NULL)
            THEN clock_timestamp() END
    FROM fresh, moved WHERE moved.types = '{}' OR fresh.type = ANY(moved.types)
)
SELECT position FROM moved
"""

# Makes each user's oldest open delivery due. `settle` does so one by one; this is for what a killed process left.
MAKE_HEADS_DUE = """
UPDATE accounts_eventdelivery SET due_at = clock_timestamp()
WHERE due_at IS NULL AND id IN (
    SELECT DISTINCT ON (subscription_id, user_id) id FROM accounts_eventdelivery
    WHERE delivered_at IS NULL AND dead_at IS NULL ORDER BY subscription_id, user_id, position)
"""


def send_events(*, seconds: float = SECONDS_OF_A_RUN) -> int:
    """Send what is due, until nothing is left or the time is over. Return how many deliveries were attempted.

    Do nothing while another process is sending: it checks once more after it has released the lease.
    """
    if not EventSubscription.objects.filter(enabled=True).exists():
        return 0
    until, tried = time.monotonic() + seconds, 0
    while True:
        tried += _run(until)
        if not _something_to_do():
            return tried
        if time.monotonic() >= until:
            feed.sender.tell()
            return tried
        if _held_by_another():
            return tried


def _run(until: float) -> int:
    holder = uuid4()
    if not _take(holder):
        return 0
    try:
        with connection.cursor() as cursor:
            cursor.execute(MAKE_HEADS_DUE)
        return Dispatch(holder, until).run()
    finally:
        EventDispatch.objects.filter(holder=holder).update(holder=None, held_until=None, backend=None)


def _take(holder: UUID) -> bool:
    pooled = settings.DATABASE_POOL == "transaction"
    with connection.cursor() as cursor:
        cursor.execute(TAKE, {"holder": str(holder), "lease": LEASE.total_seconds(), "pooled": pooled})
        return cursor.fetchone() is not None


def _held_by_another() -> bool:
    return EventDispatch.objects.filter(held_until__gt=Now()).exists()


def fan_out() -> None:
    """Advance every enabled subscription to the end of the feed."""
    feed.give_positions()
    for subscription in EventSubscription.objects.filter(enabled=True).order_by("name"):
        position: int | None = subscription.position
        while position is not None:
            position = _fan_out(subscription.pk, position)


def _fan_out(subscription_id: UUID, position: int) -> int | None:
    values: dict[str, Any] = {
        "subscription": subscription_id,
        "position": position,
        "most": FANNED_OUT_AT_ONCE,
    }
    with connection.cursor() as cursor:
        cursor.execute(FAN_OUT, values)
        row = cursor.fetchone()
    return None if row is None else row[0]


class Dispatch:
    """A run of the process that holds the lease: it launches what is due, and settles what comes back."""

    def __init__(self, holder: UUID, until: float) -> None:
        self.holder, self.until = holder, until
        self.flying: dict[Future[Outcome], EventDelivery] = {}
        self.tried = 0
        self._look_at = self._renew_at = 0.0

    def run(self) -> int:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="event-sender") as self.pool:
            while self._launch() or self.flying:
                landed, _ = wait(self.flying, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
                for future in landed:
                    settle(self.flying.pop(future), future.result())
        return self.tried

    def _launch(self) -> int:
        """Start what is due and fits, unless the time or the lease is over. Return how many were started."""
        if time.monotonic() >= self.until or not self._renew():
            return 0
        if time.monotonic() >= self._look_at:
            fan_out()
            self._look_at = time.monotonic() + LOOK_EVERY
        chosen = list(self._chosen())
        for delivery in chosen:
            secrets = subscriptions.secrets_of(delivery.subscription)
            future = self.pool.submit(
                sending.send, delivery.event, url=delivery.subscription.url, secrets=secrets
            )
            self.flying[future] = delivery
        self.tried += len(chosen)
        return len(chosen)

    def _renew(self) -> bool:
        if time.monotonic() >= self._renew_at:
            self._renew_at = time.monotonic() + LEASE.total_seconds() / 4
            return _take(self.holder)
        return True

    def _chosen(self) -> Iterator[EventDelivery]:
        busy = Counter(delivery.subscription_id for delivery in self.flying.values())
        awake = EventSubscription.objects.filter(
            Q(rests_until=None) | Q(rests_until__lte=Now()), enabled=True
        )
        for subscription in awake.order_by("rests_until", "name"):
            most = 1 if subscription.failures_in_a_row >= FAILURES_BEFORE_REST else AT_ONCE_TO_ONE
            room = min(most - busy[subscription.pk], AT_ONCE - len(self.flying))
            if room > 0:
                yield from self._heads(subscription, room)

    def _heads(self, subscription: EventSubscription, room: int) -> Iterator[EventDelivery]:
        """Yield this subscription's due events, one per user, except for users who have one in flight."""
        users = {
            delivery.user_id
            for delivery in self.flying.values()
            if delivery.subscription_id == subscription.pk
        }
        due = EventDelivery.objects.open().filter(subscription=subscription, due_at__lte=Now())
        for delivery in due.select_related("event", "subscription").order_by("due_at", "position")[
            : room + len(users)
        ]:
            if delivery.user_id not in users and room > 0:
                users.add(delivery.user_id)
                room -= 1
                yield delivery


@transaction.atomic
def settle(delivery: EventDelivery, outcome: Outcome) -> None:
    """Record a delivery's outcome and, if it has ended, release the user's next event."""
    delay = None if outcome.delivered else _delay(delivery.attempts, outcome.wait)
    ended = outcome.delivered or delay is None
    EventDelivery.objects.open().filter(pk=delivery.pk).update(
        attempts=F("attempts") + 1,
        delivered_at=Now() if outcome.delivered else None,
        dead_at=Now() if ended and not outcome.delivered else None,
        due_at=None if delay is None else Now() + timedelta(seconds=delay),
        last_status=outcome.status,
        last_error=outcome.error,
    )
    if ended:
        _release_next(delivery)
    _note(delivery, outcome)


def _delay(attempts: int, wait: float) -> float | None:
    """Return the seconds until the next attempt, no fewer than the receiver asks for; None after the last."""
    delays: Sequence[float] = settings.EVENT_DELIVERY_DELAYS
    return max(delays[attempts], wait) if attempts < len(delays) else None


def _release_next(delivery: EventDelivery) -> None:
    waiting = EventDelivery.objects.open().filter(
        subscription_id=delivery.subscription_id, user_id=delivery.user_id
    )
    following = waiting.order_by("position").values_list("pk", flat=True).first()
    if following is not None:
        EventDelivery.objects.filter(pk=following, due_at=None).update(due_at=Now())


def _note(delivery: EventDelivery, outcome: Outcome) -> None:
    """Let a receiver that fails repeatedly rest: for 1, 2, 4 seconds, up to a minute, or as long as it asks."""
    receiver = EventSubscription.objects.filter(pk=delivery.subscription_id)
    result = "delivered" if outcome.delivered else "failed"
    metrics.count(metrics.DELIVERIES, delivery.subscription.name, result)
    if outcome.delivered:
        receiver.exclude(failures_in_a_row=0).update(failures_in_a_row=0, rests_until=None)
        return
    log.warning(
        "event_not_delivered",
        subscription=delivery.subscription.name,
        type=delivery.event.type,
        position=delivery.position,
        reason=outcome.error,
        tries=delivery.attempts + 1,
    )
    if outcome.status == HTTPStatus.GONE:
        subscriptions.pause_gone(delivery.subscription)
    receiver.update(failures_in_a_row=F("failures_in_a_row") + 1)
    failures = receiver.values_list("failures_in_a_row", flat=True).first() or 0
    rest = outcome.wait
    if failures >= FAILURES_BEFORE_REST:
        rest = max(rest, min(2.0 ** min(failures - FAILURES_BEFORE_REST, 10), LONGEST_REST))
    if rest:
        until = Now() + timedelta(seconds=rest)
        receiver.update(rests_until=Greatest("rests_until", until))


def _something_to_do() -> bool:
    """Return whether a run would find work: a due delivery to an awake receiver, or an event without a position."""
    awake = Q(subscription__rests_until=None) | Q(subscription__rests_until__lte=Now())
    due = EventDelivery.objects.open().filter(awake, subscription__enabled=True, due_at__lte=Now())
    return due.exists() or feed.has_unplaced()
