"""Look up a new password among breached ones, at a service that learns at most five hex digits of its SHA-1.

Off unless BREACHED_PASSWORDS_URL names a service (in the form of https://haveibeenpwned.com/API/v3#PwnedPasswords). The
look-up happens within the request that sets the password, with a time-out; a service that is slow or down refuses
nobody. Neither the password nor any part of its hash is queued, stored or logged.
"""

import hashlib
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import structlog
from django.conf import settings

from accounts.kit.problems import ServiceUnavailable
from accounts.kit.resting import Rest
from accounts.kit.slots import Slots

SECONDS = 0.3
AT_ONCE = 4  # concurrent look-ups of one process
PREFIX = 5  # digits that are sent
LARGEST = 256 * 1024  # bytes of a response; with padding it has some 60,000

log = structlog.get_logger(__name__)
_slots = Slots(running=AT_ONCE, waiting=0, patience=0)
rest = Rest(3.0)


def is_breached(password: str) -> bool:
    """Return whether the service lists the password, in its canonical form; False if the service is unavailable."""
    if not settings.BREACHED_PASSWORDS_URL or not rest.is_over():
        return False
    digest = (
        hashlib.sha1(password.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest().upper()
    )
    try:
        with _slots.one():
            listed = _threads().submit(_ask, digest[:PREFIX]).result(timeout=SECONDS)
    except ServiceUnavailable:
        return False
    except (OSError, HTTPException, ValueError) as error:  # TimeoutError is an OSError
        rest.begin()
        log.warning("breached_passwords_unavailable", reason=type(error).__name__)
        return False
    rest.end()
    return digest[PREFIX:] in listed


def _ask(prefix: str) -> frozenset[str]:
    """Return the remaining digits of all hashes with this prefix. Rows with a count of 0 are padding."""
    url = urlsplit(settings.BREACHED_PASSWORDS_URL)
    connection = _connect(url.scheme, url.hostname or "", url.port)
    try:
        headers = {"Add-Padding": "true", "User-Agent": "auth-service", "Connection": "close"}
        connection.request("GET", f"{url.path}{prefix}", headers=headers)
        answer = connection.getresponse()
        text = answer.read(LARGEST).decode("ascii")
        if answer.status != 200:
            raise HTTPException(f"status {answer.status}")
    finally:
        connection.close()
    rows = (line.strip().partition(":") for line in text.splitlines())
    return frozenset(suffix.upper() for suffix, _, count in rows if count.strip("0"))


def _connect(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "https":
        return HTTPSConnection(host, port, timeout=SECONDS, context=ssl.create_default_context())
    return HTTPConnection(host, port, timeout=SECONDS)


@cache
def _threads() -> ThreadPoolExecutor:
    """Return the look-up threads: a socket's time-out covers neither slow name resolution nor a trickling response.

    The pool is created on first use, because a forked child has none of its parent's threads.
    """
    return ThreadPoolExecutor(AT_ONCE + 2, thread_name_prefix="breached")
