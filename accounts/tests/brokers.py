"""Celery with a broker, instead of carrying tasks out at once: with one that nobody reads, or with one that is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app

UNREAD = "memory://"  # takes every task, and no worker comes for it


def away(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


@contextmanager
def broker_at(url: str, *, patience: float = 0.5, **options: Any) -> Iterator[Any]:
    """Have tasks go to this broker, as in production, whose answer is waited for so many seconds.

    `options` are its transport's. Gives the Celery application.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    ours = {
        "broker_url": url,
        "task_always_eager": False,
        "broker_transport_options": {
            **app.conf.broker_transport_options,
            "socket_timeout": patience,
            **options,
        },
    }
    before = {name: app.conf[name] for name in ours}
    _forget_connections(app)
    app.conf.update(ours)
    try:
        yield app
        if url == UNREAD:
            received(app)  # the memory is the process's, and what is left there would be the next test's
    finally:
        app.conf.update(before)
        _forget_connections(app)


def _forget_connections(app: Any) -> None:
    app._pool = None
    app.amqp._producer_pool = None


def received(app: Any, task: str = "") -> list[Any]:
    """Take everything out of the broker; return the messages for this task, or all of them."""
    with (
        app.connection_for_read() as connection,
        connection.SimpleQueue(app.conf.task_default_queue) as waiting,
    ):
        messages = [waiting.get_nowait() for _ in range(waiting.qsize())]
        for message in messages:
            message.ack()
    return [message for message in messages if task in {"", message.headers["task"]}]
