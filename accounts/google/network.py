"""Ask Google: within the given time, from a few threads, and not during an outage.

A provider that is down or slow must cost its own users a quick 503, and everybody else nothing.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import structlog
from django.conf import settings
from jwt.exceptions import PyJWKClientError, PyJWKSetError
from requests import RequestException

from accounts.google.errors import GoogleUnavailable
from accounts.kit.problems import ServiceUnavailable
from accounts.kit.resting import Rest
from accounts.kit.slots import Slots

PATIENCE = 2.5  # seconds: Google answers within tenths of one, and a class signs in at once

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)
_slots = Slots(running=settings.GOOGLE_AT_ONCE, waiting=settings.GOOGLE_QUEUE, patience=PATIENCE)


class Outage(Exception):
    """A response that Google gives only if something is wrong with it, or with our registration there."""


class Misconfigured(Outage):
    """Google refuses our registration, or a code that was issued to another registration.

    Anyone can submit such a code, so it does not start a rest.
    """


rest = Rest(3.0)


def ask(question: Callable[[], Answer], *, seconds: float) -> Answer:
    """Return the question's answer. Raise GoogleUnavailable.

    It runs in a separate thread, because a socket's time-out covers neither slow name resolution nor a trickling
    response.
    """
    _require_awake()
    try:
        with _slots.one():
            _require_awake()  # an earlier request may have found it away
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


def _require_awake() -> None:
    if not rest.is_over():
        raise GoogleUnavailable


def _detail(error: BaseException) -> str | None:
    """Return only messages of our own; others may contain addresses and codes."""
    return str(error) if isinstance(error, Outage) else None


@cache
def _threads() -> ThreadPoolExecutor:
    """Create the pool on first use, because a forked child has none of its parent's threads."""
    return ThreadPoolExecutor(settings.GOOGLE_AT_ONCE + 2, thread_name_prefix="google")
