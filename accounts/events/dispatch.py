"""Events for other services, by webhook: at least once, and each user's in their order.

Rows are the truth. An event is written in the transaction of its cause (accounts/events/feed.py); here, after its
commit, it gets a place in the feed and a delivery row for each subscription that wants it. One process at a time does
this, by a lease that ends by itself, or sooner with its own connection to the database; its threads only talk to
receivers. What is killed, or lost by the broker, is found again. It is not a queue of kit/leases.py, whose workers
claim one row each: a user's events go one after the other, and how many go to one receiver at once is for one process
to see.

A delivery that fails is repeated, later and later, and holds back its user's later events for this subscription and
nobody else's; after its last try it is a dead letter, and they go on. A receiver that fails several times in a row is
left alone for a while and then asked with one event, not with all.
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

# The connection of a killed process is closed by its kernel, and its backend ends: nobody waits for the lease then. A
# backend's number that is taken again, or that of an unknown one (NULL lists all), only means to wait. A pooler's
# backend says nothing: it may end while the process lives, and live when the process is gone.
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

# One statement moves the subscription on and writes what it wants; only the first to run it does.
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

# The oldest open delivery of each user is due. `settle` sees to it one by one; this is for what a killed process left.
MAKE_HEADS_DUE = """
UPDATE accounts_eventdelivery SET due_at = clock_timestamp()
WHERE due_at IS NULL AND id IN (
    SELECT DISTINCT ON (subscription_id, user_id) id FROM accounts_eventdelivery
    WHERE delivered_at IS NULL AND dead_at IS NULL ORDER BY subscription_id, user_id, position)
"""


def send_events(*, seconds: float = SECONDS_OF_A_RUN) -> int:
    """Send what is due, until nothing is, or for so many seconds. Return how many were tried.

    Does nothing where another process is at it: that one looks once more after it has let go.
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
    """Bring every enabled subscription to the end of the feed."""
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
    """One run of the process that holds the lease: launches what is due, settles what comes back."""

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
        """Start what is due and there is room for, unless time or lease are over. Return how many were started."""
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
        """Select what this subscription is due: one event of each user, and none of users who have one on its way."""
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
    """Write down what came of a sending, and let the user's next event go where this one is at its end."""
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
    """Return the seconds until the next try, at least those that the receiver asks for; None after the last."""
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
    """A receiver that fails again and again rests: 1, 2, 4 seconds, up to a minute; one that says for how long, so
    long."""
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
    """Return whether a run would find work: something due with a receiver that is awake, or an event not handed out
    yet.
    """
    awake = Q(subscription__rests_until=None) | Q(subscription__rests_until__lte=Now())
    due = EventDelivery.objects.open().filter(awake, subscription__enabled=True, due_at__lte=Now())
    return due.exists() or feed.has_unplaced()
