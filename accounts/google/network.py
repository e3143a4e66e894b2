"""Asking Google: never for longer than the seconds given, by a few threads at most, and not while it is away.

A provider that is down or slow must cost its own users a quick 503, and everybody else nothing.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import structlog
from jwt.exceptions import PyJWKClientError, PyJWKSetError
from requests import RequestException

from accounts.google.errors import GoogleUnavailable
from accounts.kit.problems import ServiceUnavailable
from accounts.kit.resting import Rest
from accounts.kit.slots import Slots

AT_ONCE = 2  # questions to Google of one process

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)
_slots = Slots(running=AT_ONCE, waiting=1, patience=0.5)


class Outage(Exception):
    """An answer that Google gives only when something is wrong with it, or with our registration there."""


class Misconfigured(Outage):
    """Google answered, and refuses our registration there, or a code that another registration was given.

    Anyone can bring such a code: so nobody rests.
    """


rest = Rest(3.0)


def ask(question: Callable[[], Answer], *, seconds: float) -> Answer:
    """Return what the question answers. Raises GoogleUnavailable.

    It runs in a thread of its own: names that resolve slowly and answers that drip in are beyond any socket's time-out.
    """
    if not rest.is_over():
        raise GoogleUnavailable
    try:
        with _slots.one():
            answer = _threads().submit(question).result(timeout=seconds)
    except ServiceUnavailable as error:
        raise GoogleUnavailable from error
    except (RequestException, OSError, Outage, ValueError, PyJWKClientError, PyJWKSetError) as error:
        if not isinstance(error, Misconfigured):
            rest.begin()
        log.warning("google_unavailable", reason=type(error).__name__, detail=_detail(error))
        raise GoogleUnavailable from error
    rest.end()
    return answer


def _detail(error: BaseException) -> str | None:
    """Only what we have said ourselves: other messages may hold addresses and codes."""
    return str(error) if isinstance(error, Outage) else None


@cache
def _threads() -> ThreadPoolExecutor:
    """Made where it is used: a forked child has none of its parent's threads."""
    return ThreadPoolExecutor(AT_ONCE + 2, thread_name_prefix="google")
