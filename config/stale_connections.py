"""Checks the thread's database connections before and after each request, instead of Django's own receivers.

Connections are kept open for ever (docs/decisions/0003). When PostgreSQL restarts, fails over or ends a session, each
thread would find out only from a failed statement: a 503 per thread, long after the server is back. But an idle
connection receives nothing: if there is something to read on its socket, the server is closing it. The check costs two
microseconds and no round trip, and no statement has been sent yet, so nothing is ever repeated.

Django connects four receivers for this and more: two that close broken or old connections, one that clears the queries
that DEBUG collects, and one that closes caches. The last two have nothing to do here, since DEBUG is off and no cache
needs closing, and each of them looks up all connections separately (docs/decisions/0024).
"""

import select
from collections.abc import Iterator
from typing import Any

from celery.signals import task_prerun
from django.core.cache import close_caches
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections, reset_queries
from django.db.backends.base.base import BaseDatabaseWrapper


def drop_closed_by_server(**_: Any) -> None:
    """Close connections that the server has closed, that are broken or too old; the next statement opens another."""
    for connection in _open_connections():
        connection.close_if_unusable_or_obsolete()
        if connection.connection is not None and _has_farewell(connection):
            connection.close()


def drop_unusable(**_: Any) -> None:
    """Close connections that a request has left broken or that are too old."""
    for connection in _open_connections():
        connection.close_if_unusable_or_obsolete()


def _open_connections() -> Iterator[BaseDatabaseWrapper]:
    for alias in connections:
        connection = connections[alias]
        if connection.connection is not None and not connection.in_atomic_block:
            yield connection


def _has_farewell(connection: BaseDatabaseWrapper) -> bool:
    if connection.connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


for signal, receivers in (
    (request_started, (reset_queries, close_old_connections)),
    (request_finished, (close_old_connections, close_caches)),
):
    for receiver in receivers:
        signal.disconnect(receiver)
request_started.connect(drop_closed_by_server)
request_finished.connect(drop_unusable)
task_prerun.connect(drop_closed_by_server)
