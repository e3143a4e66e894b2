"""A database connection that the server has closed is not used for one request more.

Connections are kept for ever (docs/decisions/0003). When PostgreSQL restarts, is failed over or ends a session, each
thread would learn it from a failed statement: a 503 per thread, long after the server is back. But an idle connection
has nothing to say: if there is something to read on its socket, that is the server's farewell. To look costs two
microseconds and no round trip, and no statement has been sent yet, so nothing is ever repeated.
"""

import select
from typing import Any

from celery.signals import task_prerun
from django.core.signals import request_started
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


def drop_closed_by_server(**_: Any) -> None:
    """Closes such connections of this thread; the next statement opens another."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and not connection.in_atomic_block and _has_farewell(connection):
            connection.close()


def _has_farewell(connection: BaseDatabaseWrapper) -> bool:
    if connection.connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


request_started.connect(drop_closed_by_server)
task_prerun.connect(drop_closed_by_server)
