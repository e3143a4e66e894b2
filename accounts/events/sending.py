"""Send one event with one POST, by the Standard Webhooks scheme (www.standardwebhooks.com), to a checked address.

Whatever the receiver does, this ends within five seconds, follows no redirect and reads only the response's head.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from standardwebhooks.webhooks import Webhook

from accounts.events import addresses
from accounts.events.addresses import AddressRefused, Target
from accounts.events.feed import event_answer
from accounts.models import ServiceEvent

SECONDS = 5.0
LONGEST_WAIT = 3600.0  # seconds that a receiver may ask for


@dataclass(frozen=True, slots=True)
class Outcome:
    """The receiver's status, or the reason that there is none, and how long it asks to be left alone."""

    status: int | None = None
    error: str = ""
    wait: float = 0.0

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def send(event: ServiceEvent, *, url: str, secrets: Sequence[str], seconds: float = SECONDS) -> Outcome:
    """Send one delivery and return its outcome, which includes any failure; nothing is raised."""
    body = msgspec.json.encode(event_answer(event)).decode()
    try:
        target = addresses.parse(url)
        status, again = _post(target, body.encode(), headers=signed(event, body, secrets), seconds=seconds)
    except AddressRefused as refusal:
        return Outcome(error=str(refusal))
    except (OSError, http.client.HTTPException) as error:
        return Outcome(error=type(error).__name__)
    if 200 <= status < 300:
        return Outcome(status)
    return Outcome(status, f"HTTP {status}", wait_of(again))


def wait_of(retry_after: str | None) -> float:
    """Return the seconds that a Retry-After asks for (RFC 9110, 10.2.3), at most LONGEST_WAIT; 0 if it is malformed."""
    text = (retry_after or "").strip()
    if text.isdigit() and text.isascii():
        return min(float(text), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text)
        left = until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, left.total_seconds()), LONGEST_WAIT)


def signed(event: ServiceEvent, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers of this delivery. The id is always the event's; each secret signs, so that they can rotate."""
    now = datetime.now(UTC)
    message = f"evt_{event.position}"
    signatures = [Webhook(secret).sign(message, now, body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": "auth-service-events",
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _post(target: Target, body: bytes, *, headers: dict[str, str], seconds: float) -> tuple[int, str | None]:
    connection = PinnedConnection(target, addresses.pin(target), seconds)
    clock = threading.Timer(seconds, connection.cut)
    clock.start()
    try:
        connection.request("POST", target.path, body, headers)
        response = connection.getresponse()  # the body is not read
    except (OSError, http.client.HTTPException):
        if connection.was_cut:
            raise TimeoutError from None
        raise
    finally:
        clock.cancel()
        connection.close()
    if connection.was_cut:  # cut within the headers, which then end without an error
        raise TimeoutError
    return response.status, response.getheader("Retry-After")


class FinalResponse(http.client.HTTPResponse):
    """A response that skips interim ones (1xx: RFC 9110, 15.2), of which the library knows only 100."""

    def begin(self) -> None:
        super().begin()
        while HTTPStatus.SWITCHING_PROTOCOLS < self.status < HTTPStatus.OK:
            self.headers = None  # type: ignore[assignment]  # its state before the first response
            super().begin()


class PinnedConnection(http.client.HTTPConnection):
    """A connection to one address in the name of a host: no look-up, no proxy, no redirect."""

    sock: Any
    response_class = FinalResponse

    def __init__(self, target: Target, address: str, seconds: float) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self._target, self._address = target, address
        self.was_cut = False
        self._wire: socket.socket | None = None  # `sock` is None once a response has started

    def connect(self) -> None:
        self.sock = self._wire = socket.create_connection((self._address, self._target.port), self.timeout)
        if self._target.tls:
            self.sock = self._wire = tls().wrap_socket(
                self.sock, server_hostname=self._target.host, do_handshake_on_connect=False
            )
            self.sock.do_handshake()

    def cut(self) -> None:
        """Shut the connection down from another thread, because the time is over."""
        self.was_cut = True
        if self._wire is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._wire, socket.SHUT_RDWR)


@cache
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()
