"""Makes upcoming requests fail."""

import re
import threading
from dataclasses import dataclass
from typing import Any

from tests.fake_stripe.wire import Json, Refusal

ERRORS = {
    429: ("rate_limit_error", "rate_limit", "Too many requests hit the API too quickly."),
    500: ("api_error", None, "An unknown error occurred"),
    502: ("api_error", None, "Bad gateway"),
    503: ("api_error", None, "Service unavailable"),
}


@dataclass
class Fault:
    """Affects the next `times` requests whose method and path match.

    status:     this answer; 500s are kept for the idempotency key unless `stored` is false
    committed:  the request is carried out before it fails with `status`
    delay:      seconds before the request is carried out
    late:       seconds between carrying it out and answering
    cut:        it is carried out and the connection closes without an answer
    refuse:     the connection closes and nothing is done
    black_hole: nothing is done or answered until `release`, or for `delay` seconds
    """

    path: str = ".*"
    method: str = ".*"
    times: int = 1
    used: int = 0
    status: int | None = None
    stored: bool = True
    committed: bool = False
    delay: float = 0.0
    late: float = 0.0
    cut: bool = False
    refuse: bool = False
    black_hole: bool = False

    def matches(self, method: str, path: str) -> bool:
        return bool(self.times and re.fullmatch(self.method, method) and re.fullmatch(self.path, path))


class Faults:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.rules: list[Fault] = []

    def set(self, **fields: Any) -> None:
        with self.lock:
            self.rules.append(Fault(**fields))

    def take(self, method: str, path: str) -> Fault:
        """Return the first matching fault, using it once; or one that does nothing."""
        with self.lock:
            for rule in self.rules:
                if rule.matches(method, path):
                    rule.times, rule.used = rule.times - 1, rule.used + 1
                    return rule
        return Fault()

    def clear(self) -> None:
        """Remove all faults, and release the requests that wait in a black hole."""
        with self.lock:
            self.rules.clear()
            released, self.released = self.released, threading.Event()
        released.set()

    def wait(self, seconds: float) -> None:
        self.released.wait(seconds)


def failure(status: int, *, stored: bool) -> Refusal:
    """Return the refusal; a 429 is never kept for the idempotency key, since the request was not started."""
    kind, code, message = ERRORS.get(status, ("api_error", None, f"Status {status}"))
    headers: Json = {"retry-after": "1"} if status == 429 else {}
    return Refusal(
        message, status=status, type=kind, code=code, stored=stored and status != 429, headers=headers
    )
