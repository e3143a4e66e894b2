"""One call over HTTP and its outcome, from a client that keeps its connection open as real ones do."""

import contextlib
import http.client
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 20.0  # seconds that a client waits for an answer
TO_BE_REPEATED = frozenset({429})  # and every 5xx: docs/guides/services.md, "One rule for retries"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `status` is None if there was none. Times are those of time.monotonic()."""

    status: int | None
    started: float
    finished: float
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def seconds(self) -> float:
        return self.finished - self.started

    @property
    def done(self) -> bool:
        return self.status is not None and self.status < 300

    @property
    def refused(self) -> bool:
        """Return whether it is a definite no: the call was evaluated, and nothing happened."""
        return (
            self.status is not None
            and 400 <= self.status < 500
            and self.status not in TO_BE_REPEATED
            and self.code != "idempotency_in_progress"
        )

    @property
    def code(self) -> str:
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""

    def fault(self) -> str:
        """Return what no fault excuses: a 500, or a 503 that is not a problem document or does not say when to
        retry.
        """
        if self.status is None or self.status < 500:
            return ""
        if self.status != 503:
            return f"status {self.status}"
        if not self.code or "application/problem+json" not in self.headers.get("content-type", ""):
            return "503 without a problem document"
        return "" if self.headers.get("retry-after") else "503 without Retry-After"


class Caller:
    """One client, with its own connection, reopened when it breaks, and its own address for the limits."""

    def __init__(
        self,
        port: int,
        headers: Mapping[str, str] | None = None,
        *,
        address: str = "",
        host: str = "127.0.0.1",
    ) -> None:
        self._host, self._port = host, port
        self.own_address = address or random_address()
        self._headers = {"X-Forwarded-For": self.own_address, **(headers or {})}
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.send("GET", path, None, headers)

    def post(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        return self.send("POST", path, body, headers)

    def send(self, method: str, path: str, body: object, headers: Mapping[str, str] | None = None) -> Answer:
        started = time.monotonic()
        try:
            response, text = self._exchange(method, path, body, {**self._headers, **(headers or {})})
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer(None, started, time.monotonic(), error=type(error).__name__)
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, started, time.monotonic(), _parsed(text), received)

    def _exchange(
        self, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        typed = {} if data is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, data, {**typed, **headers})
        response = self._connection.getresponse()
        return response, response.read()

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
        self._connection = None


def random_address() -> str:
    """Return an address that most likely no other client of the drill has (RFC 1918)."""
    return f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
