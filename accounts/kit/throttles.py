"""One atomic limiter for everything that is limited. The rules are the setting RATE_LIMITS.

A limit is a sliding window: the times of a subject's last hits. A hit is counted before the work that it guards, in one
step across all processes: a script in Redis or, while Redis does not answer, a statement in PostgreSQL. Subjects
(addresses, IPs) are stored only as keyed hashes.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.db import connection

from accounts.kit import limit_headers, metrics
from accounts.kit.client import networks
from accounts.kit.limit_headers import Standing
from accounts.kit.problems import RateLimited
from accounts.kit.resting import Rest

Answer = TypeVar("Answer")

MICROSECONDS = 1_000_000
LONGEST_DELAY = 3600 * MICROSECONDS
REDIS_PATIENCE = 0.2  # seconds that a request waits for Redis

# KEYS: one per limit; ARGV for each: allowed hits, window, hits without delay, first delay (microseconds; 0: none). If
# any limit is reached, nothing is counted. Returns {0, 0, and for each limit the hits left and the microseconds until
# the oldest stops counting}, or {the number of the reached limit, the microseconds until it has room again}.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {0, 0}
for i, key in ipairs(KEYS) do
  local allowed, window = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
  local free, delay = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  local oldest = tonumber(redis.call('LINDEX', key, 0) or now)
  while oldest <= now - window do
    redis.call('LPOP', key)
    oldest = tonumber(redis.call('LINDEX', key, 0) or now)
  end
  local count = redis.call('LLEN', key)
  if count >= allowed then
    return {i, oldest + window - now}
  end
  if delay > 0 and count >= free then
    local wait = math.min(delay * 2 ^ math.floor((count - free) / free), 3600000000)
    local room_at = tonumber(redis.call('LINDEX', key, -1)) + wait
    if room_at > now then
      return {i, room_at - now}
    end
  end
  answer[2 * i + 1] = allowed - count - 1
  answer[2 * i + 2] = oldest + window - now
end
for i, key in ipairs(KEYS) do
  redis.call('RPUSH', key, string.format('%.0f', now))
  redis.call('PEXPIRE', key, math.ceil(tonumber(ARGV[4 * i - 2]) / 1000))
end
return answer
"""

_TAKE_IN_POSTGRESQL = """
INSERT INTO accounts_ratelimitwindow AS kept (key, hits, allowed, expires_at)
VALUES (
  %(key)s, ARRAY[(extract(epoch FROM clock_timestamp()) * 1000000)::bigint], TRUE,
  clock_timestamp() + %(window)s::bigint * interval '1 microsecond'
)
ON CONFLICT (key) DO UPDATE SET (hits, allowed, expires_at) = (
  SELECT CASE WHEN fits THEN live || now ELSE live END, fits,
         clock_timestamp() + %(window)s::bigint * interval '1 microsecond'
  FROM (SELECT now, live, cardinality(live) < %(allowed)s::bigint AND (
                 %(delay)s::bigint = 0 OR cardinality(live) < %(free)s::bigint
                 OR live[cardinality(live)] + least(%(delay)s::bigint * power(
                      2, (cardinality(live) - %(free)s::bigint) / %(free)s::bigint), 3600000000) <= now) AS fits
        FROM (SELECT now, ARRAY(SELECT hit FROM unnest(kept.hits) AS hit WHERE hit > now - %(window)s::bigint) AS live
              FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS clock) AS lived
       ) AS judged
)
RETURNING allowed, hits, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
"""

_GIVE_BACK_IN_POSTGRESQL = """
UPDATE accounts_ratelimitwindow SET hits = trim_array(hits, 1) WHERE key = %s AND cardinality(hits) > 0
"""


_IS_DELAYED = "SELECT FROM accounts_ratelimitwindow WHERE cardinality(hits) >= %s AND key = %s"
_FORGET_IN_POSTGRESQL = "DELETE FROM accounts_ratelimitwindow WHERE key = ANY(%s)"


class Taken(NamedTuple):
    """The result: if all hits were counted, the hits left of each limit, and the microseconds until its oldest expires.

    Otherwise the place of the first that was refused, and the microseconds to wait.
    """

    standings: Sequence[tuple[int, int]] = ()
    refused: int = -1
    wait: int = 0


class Hit(NamedTuple):
    """An attempt under one rule of RATE_LIMITS, by or on the subject."""

    rule: str
    subject: Sequence[str]
    share: float = 1.0  # of one customer's allowance; a wider network has more

    @property
    def key(self) -> str:
        digest = hashlib.blake2b(key=settings.SECRET_KEY.encode()[:64], digest_size=24)
        digest.update("\0".join((self.rule, *self.subject)).encode())
        return f"{settings.RATE_LIMITS_NAMESPACE}:{digest.hexdigest()}"

    @property
    def allowed(self) -> int:
        return round(settings.RATE_LIMITS[self.rule][0] * self.share) * settings.RATE_LIMITS_FACTOR

    @property
    def window(self) -> int:
        """Return the window in microseconds."""
        return int(settings.RATE_LIMITS[self.rule][1]) * MICROSECONDS

    @property
    def free(self) -> int:
        """Return the hits before each must wait for the last one; after each further such number, the wait doubles."""
        rule = settings.RATE_LIMITS[self.rule]
        return int(rule[2]) * settings.RATE_LIMITS_FACTOR if len(rule) > 2 else 0

    @property
    def delay(self) -> int:
        """Return the first wait in microseconds; 0: none."""
        rule = settings.RATE_LIMITS[self.rule]
        return int(rule[3]) * MICROSECONDS if len(rule) > 2 else 0

    def wait(self, hits: list[int], now: int) -> int:
        """Return the microseconds until one more is allowed, as the script in Redis computes them."""
        if len(hits) >= self.allowed:
            return hits[0] + self.window - now
        doubled: int = self.delay * 2 ** ((len(hits) - self.free) // self.free)
        return hits[-1] + min(doubled, LONGEST_DELAY) - now


# What the current request has counted and not given back; None outside a request.
_counted: ContextVar[list[Hit] | None] = ContextVar("hits_counted", default=None)


def begin() -> None:
    """Start to remember what is counted, at the start of a request."""
    _counted.set([])


def give_back_all() -> None:
    """Take back what the current request has counted in Redis, since PostgreSQL was lost before it was carried out."""
    hits = [one for one in _counted.get() or () if one.rule not in settings.DURABLE_RATE_LIMITS]
    if hits:
        _give_back_in_redis(hits)


def hit(rule: str, *subject: str) -> Hit:
    return Hit(rule, subject)


def from_network(rule: str, ip: str | None) -> list[Hit]:
    """Return a hit on each network that contains the address, the narrowest first."""
    return [Hit(rule, (around.name,), around.share) for around in networks(ip)]


def take(*hits: Hit) -> int | None:
    """Count the hits, and return how many more the last one's limit allows.

    Raise RateLimited at the first limit that is reached, and then count none, since nothing is done: a refusal because
    of an account must not use up a network's limit.
    """
    if not hits:
        return None
    taken = _in_redis(hits, lambda: _take_in_redis(hits)) or _take_in_postgresql(hits)
    if taken.refused >= 0:
        wait = _seconds(taken.wait)
        limit_headers.note(hits[taken.refused].rule, Standing(0, wait))
        metrics.count(metrics.THROTTLED, hits[taken.refused].rule)
        raise RateLimited(retry_after=wait)
    counted = _counted.get()
    if counted is not None:
        counted.extend(hits)
    # Reversed, so that the narrowest of several networks, which comes first, is the last noted and thus reported.
    for one, (left, reset) in zip(reversed(hits), reversed(taken.standings), strict=True):
        limit_headers.note(one.rule, Standing(left, _seconds(reset)))
    return taken.standings[-1][0]


def _seconds(microseconds: int) -> int:
    return -(-microseconds // MICROSECONDS)


def is_delayed(one: Hit) -> bool:
    """Return whether a durable rule has so many hits that each must wait for the one before."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_DELAYED, [one.free, one.key])
        return cursor.fetchone() is not None


def give_back(*hits: Hit) -> None:
    """Take back hits that turned out not to count, as for a right password."""
    if not hits:
        return
    for rule in {one.rule for one in hits}:
        limit_headers.note_return(rule)
    counted = _counted.get()
    if counted is not None:
        counted[:] = list((Counter(counted) - Counter(hits)).elements())
    if not _give_back_in_redis(hits):
        _give_back_in_postgresql(hits)


def _give_back_in_redis(hits: Sequence[Hit]) -> bool:
    return _in_redis(hits, lambda: [_redis().rpop(one.key) for one in hits]) is not None


def _give_back_in_postgresql(hits: Sequence[Hit]) -> None:
    with connection.cursor() as cursor:
        for one in hits:
            cursor.execute(_GIVE_BACK_IN_POSTGRESQL, [one.key])


def forget(*hits: Hit) -> None:
    """Reset the limits of these subjects."""
    if _in_redis(hits, lambda: _redis().delete(*(one.key for one in hits))) is not None:
        return
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_IN_POSTGRESQL, [[one.key for one in hits]])


def purge() -> int:
    """Delete expired windows from PostgreSQL; Redis expires its own."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_ratelimitwindow WHERE expires_at < clock_timestamp()")
        return int(cursor.rowcount)


def _ping() -> None:
    _redis().ping()


rest = Rest(5.0, probe=_ping)  # no request asks a Redis that is down or silent


def _in_redis(hits: Sequence[Hit], command: Callable[[], Answer]) -> Answer | None:
    """Return Redis's answer; None if it rests or does not answer, and PostgreSQL must count.

    Rules in settings.DURABLE_RATE_LIMITS are counted by PostgreSQL alone: what Redis forgets would be attempts given
    back.
    """
    from redis import (
        RedisError,
    )  # here because it is large, and models import this module in every command

    if not rest.is_over() or any(one.rule in settings.DURABLE_RATE_LIMITS for one in hits):
        return None
    try:
        answer = command()
    except RedisError:
        rest.begin()
        return None
    rest.end()
    return answer


def _take_in_redis(hits: Sequence[Hit]) -> Taken:
    arguments = [number for one in hits for number in (one.allowed, one.window, one.free, one.delay)]
    place, wait, *standings = _script()(keys=[one.key for one in hits], args=arguments)
    if place:
        return Taken(refused=place - 1, wait=max(wait, 1))
    return Taken(list(zip(standings[::2], standings[1::2], strict=True)))


def _take_in_postgresql(hits: Sequence[Hit]) -> Taken:
    standings = []
    with connection.cursor() as cursor:
        for place, one in enumerate(hits):
            values = {name: getattr(one, name) for name in ("key", "allowed", "window", "free", "delay")}
            cursor.execute(_TAKE_IN_POSTGRESQL, values)
            allowed, kept, now = cursor.fetchone()
            if not allowed:
                _give_back_in_postgresql(hits[:place])
                return Taken(refused=place, wait=max(one.wait(kept, now), 1))
            standings.append((one.allowed - len(kept), kept[0] + one.window - now))
    return Taken(standings)


@cache
def _redis() -> Any:
    """Return a client that retries once on a closed connection, and not at all on a time-out."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_PATIENCE,
        socket_connect_timeout=REDIS_PATIENCE,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


@cache
def _script() -> Any:
    return _redis().register_script(_TAKE)
