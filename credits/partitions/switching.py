"""Put the partitions in place of the table, in one short transaction that loses no writes.

A session that needs the table during the switch waits for the lock and then finds the new table under the same name;
prepared statements are planned again. If the lock is not free soon, everyone else continues first, and it is retried.
"""

import time

from django.db import transaction

from credits.partitions import checking, copying, shape
from credits.partitions.checking import WrongCopy
from credits.partitions.copying import Work
from credits.partitions.patience import patiently
from credits.statements import run

MOST_UNDER_LOCK = 5_000  # notes; copying them takes a fraction of a second


class TooMuch(Exception):
    """More was written than can be copied under the lock in a moment."""


def without_pause(work: Work) -> None:
    """Copy noted rows until hardly any are left."""
    while checking.catch_up(work) > MOST_UNDER_LOCK // 10:
        pass


def switch(work: Work) -> float:
    """Switch, and return for how many seconds the table could not be read or written. Raises WrongCopy."""
    # Without this, the switch would wait for a vacuum of the old table; this also cancels one that is running.
    run("SET lock_timeout = '3s'")
    patiently(lambda: run(f"ALTER TABLE {work.source} SET (autovacuum_enabled = off)"))
    while True:
        without_pause(work)
        try:
            return patiently(lambda: _switch(work))
        except TooMuch:
            continue


@transaction.atomic
def _switch(work: Work) -> float:
    run("SET LOCAL lock_timeout = '300ms'")
    run("SET LOCAL statement_timeout = '800ms'")
    if {f"{index.name}_new" for index in shape.indexes(work.source)} != {
        index.name for index in shape.indexes(work.beside)
    }:
        raise WrongCopy(
            f"The indexes of {work.source} have changed since the run started: --abandon undoes it."
        )
    statements = [
        work.sql("DROP TRIGGER {trigger} ON {source}"),
        work.sql("DROP FUNCTION {function}()"),
        *shape.exchanging(work.source, work.beside, work.before),
    ]
    began = time.monotonic()
    run(f"LOCK TABLE {work.source} IN ACCESS EXCLUSIVE MODE")
    if checking.catch_up(work, most=MOST_UNDER_LOCK) == MOST_UNDER_LOCK:
        raise TooMuch
    shape.exchange(statements)
    # Texts erased from now on would survive in the old table, so it is emptied. It is not dropped yet, because sessions
    # waiting for its lock know it by its OID and would get an error.
    run(f"ALTER TABLE {work.before} DISABLE TRIGGER USER; TRUNCATE {work.before}")
    copying.mark(work, "drop")
    return time.monotonic() - began


def drop(work: Work) -> None:
    """Drop the old table, now empty, and everything that served the switch."""
    patiently(lambda: _drop(work))


@transaction.atomic
def _drop(work: Work) -> None:
    run("SET LOCAL lock_timeout = '500ms'")
    shape.drop(work.source, work.before)
    run(f"DROP TABLE IF EXISTS {work.changes}")
    copying.forget(work)
