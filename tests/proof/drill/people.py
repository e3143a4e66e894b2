"""Acts as people on the public listener, and measures how long that takes."""

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable

from calls import Answer, Caller
from instance import Instance, Person
from mail_sink import MailSink
from traffic import percentile


def caller(instance: Instance, *, address: str = "") -> Caller:
    """Return someone's device; each has its own address unless one is given."""
    return Caller(instance.ports["web"], address=address)


def login(instance: Instance, person: Person, password: str = "", *, address: str = "") -> Answer:
    body = {"email": person.email, "password": password or person.password}
    return caller(instance, address=address).post("/v1/auth/login", body)


def bearer(tokens: Answer) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.body['access_token']}"}


def register(instance: Instance, *, within: float = 60.0) -> tuple[str, Answer]:
    """Register a new address, retrying while there is no answer or a 503. Return it and the last answer."""
    email = f"new-{secrets.token_hex(8)}@drill.example"
    body = {"email": email, "password": secrets.token_urlsafe(15)}
    deadline = time.monotonic() + within
    answer = caller(instance).post("/v1/auth/register", body)
    while answer.status in {None, 503} and time.monotonic() < deadline:
        time.sleep(0.2)
        answer = caller(instance).post("/v1/auth/register", body)
    return email, answer


def enrol(instance: Instance, registered: list[str]) -> Answer:
    """Try once to register a new address, and record it if that succeeded."""
    email, answer = register(instance, within=0)
    if answer.done:
        registered.append(email)
    return answer


def register_many(instance: Instance, count: int) -> list[str]:
    made = [register(instance) for _ in range(count)]
    if not all(answer.status == 202 for _, answer in made):
        raise LookupError(f"registrations were answered {[answer.status for _, answer in made]}")
    return [email for email, _ in made]


def await_mails(sink: MailSink, addresses: list[str], *, within: float) -> float:
    """Return the seconds until each address has its mail; infinite if one has none in time."""
    started = time.monotonic()
    while time.monotonic() < started + within:
        if all(sink.arrived(address) for address in addresses):
            return time.monotonic() - started
        time.sleep(0.05)
    return float("inf")


Span = tuple[float, float]  # from and until, of time.monotonic()


class Watch:
    """Calls repeated while a fault lasts, by kind, with their times."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def every(self, interval: float, kind: str, call: Callable[[], Answer]) -> None:
        def repeat() -> None:
            while not self._stop.wait(interval):
                self.answers[kind].append(call())

        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def p95(self, kind: str, *spans: Span) -> float:
        return percentile([answer.seconds for answer in self.within(kind, *spans)], 0.95)

    def failed(self, kind: str, *spans: Span) -> tuple[int, int]:
        """Return how many calls in those spans failed, and of how many."""
        those = self.within(kind, *spans)
        return sum(not answer.done for answer in those), len(those)

    def within(self, kind: str, *spans: Span) -> list[Answer]:
        answers = list(self.answers[kind])
        return [answer for answer in answers if any(start <= answer.started < end for start, end in spans)]
