"""Signed deliveries from separate threads, with control over order, repeats, losses and delays."""

import hashlib
import heapq
import hmac
import http.client
import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json, encode

WORKERS = 8
TIMEOUT_SECONDS = 20
RULES: Json = {
    "hold": False,  # keep events until they are released
    "drop": 0,  # how many of the next are lost
    "drop_types": [],  # which are always lost
    "copies": 1,  # how often each is sent
    "delay": 0.0,  # seconds before each
    "jitter": 0.0,  # up to so many seconds more, at random: order is lost
    "parallel": False,  # several at a time
    "retries": [0.2, 1.0, 3.0],  # seconds before each further try of what was not taken
}


@dataclass(order=True)
class Job:
    due: float
    number: int
    event: Json = field(compare=False)
    endpoint: Json = field(compare=False)
    attempt: int = field(compare=False, default=0)


def signature(body: bytes, secret: str, *, at: int) -> str:
    """Return the header, with the `v0` that Stripe adds in test mode, which proves nothing and must not be accepted."""
    signed = f"{at}.".encode() + body
    v1 = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    v0 = hmac.new(b"test mode", signed, hashlib.sha256).hexdigest()
    return f"t={at},v1={v1},v0={v0}"


class Dispatcher:
    def __init__(self) -> None:
        self.store: Store
        self.changed = threading.Condition()
        self.turn = threading.Lock()
        self.numbers = itertools.count()
        self.reset()

    def reset(self) -> None:
        """Forget what was to be sent. Deliveries on their way still arrive."""
        with self.changed:
            self.generation = next(self.numbers)
            self.rules: Json = {**RULES}
            self.queue: list[Job] = []
            self.held: list[Job] = []
            self.log: list[Json] = []
            self.sending = 0
            self.changed.notify_all()

    def start(self) -> None:
        for _ in range(WORKERS):
            threading.Thread(target=self.work, daemon=True).start()

    def announce(self, event: Json) -> None:
        """Queue a new event; called while the store is locked."""
        for endpoint in self.store.all("webhook_endpoint", status="enabled"):
            if "*" in endpoint["enabled_events"] or event["type"] in endpoint["enabled_events"]:
                self.take(event, endpoint)
            else:
                event["pending_webhooks"] -= 1

    def take(self, event: Json, endpoint: Json) -> None:
        with self.changed:
            if self.is_lost(event):
                self.log.append(self.line(event, endpoint, "dropped"))
            elif self.rules["hold"]:
                self.held.append(Job(0, next(self.numbers), dict(event), endpoint))
            else:
                for _ in range(self.rules["copies"]):
                    self.push(event, endpoint)

    def is_lost(self, event: Json) -> bool:
        if event["type"] in self.rules["drop_types"]:
            return True
        lost: bool = self.rules["drop"] > 0
        self.rules["drop"] -= int(lost)
        return lost

    def push(self, event: Json, endpoint: Json, *, attempt: int = 0, wait: float | None = None) -> None:
        if wait is None:
            wait = self.rules["delay"] + random.uniform(0, self.rules["jitter"])
        number = next(self.numbers)
        heapq.heappush(self.queue, Job(time.monotonic() + wait, number, dict(event), endpoint, attempt))
        self.changed.notify_all()

    def release(
        self, *, order: Any = "kept", repeated: float = 0.0, seed: int | None = None, keep: bool = False
    ) -> int:
        """Send what was held, one after another: kept, reversed, shuffled, or by a list of event ids.

        A share of `repeated` is sent twice, the second time anywhere after the first.
        """
        chance = random.Random(seed)
        with self.changed:
            jobs = arranged(self.held, order, chance)
            self.held = self.held if keep else []
            for job in chance.sample(jobs, round(len(jobs) * repeated)):
                jobs.insert(chance.randint(jobs.index(job) + 1, len(jobs)), job)
            for job in jobs:
                self.push(job.event, job.endpoint, wait=0)
            return len(jobs)

    def settle(self, timeout: float) -> bool:
        """Wait, and return whether nothing is left to send."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.queue and not self.sending, timeout)

    def work(self) -> None:
        while True:
            serial = not self.rules["parallel"]
            if serial:
                self.turn.acquire()
            try:
                job, generation = self.next_job()
                self.send(job, generation)
            finally:
                if serial:
                    self.turn.release()

    def next_job(self) -> tuple[Job, int]:
        with self.changed:
            while True:
                now = time.monotonic()
                if self.queue and self.queue[0].due <= now:
                    self.sending += 1
                    return heapq.heappop(self.queue), self.generation
                self.changed.wait(self.queue[0].due - now if self.queue else None)

    def send(self, job: Job, generation: int) -> None:
        status = self.deliver(job.event, job.endpoint)
        taken = isinstance(status, int) and 200 <= status < 300
        if taken:
            self.mark(job.event["id"])
        with self.changed:
            if generation == self.generation:
                self.sending -= 1
                self.log.append(self.line(job.event, job.endpoint, status, attempt=job.attempt))
                if not taken and job.attempt < len(self.rules["retries"]):
                    wait = self.rules["retries"][job.attempt]
                    self.push(job.event, job.endpoint, attempt=job.attempt + 1, wait=wait)
            self.changed.notify_all()

    def mark(self, identifier: str) -> None:
        with self.store.lock:
            event = self.store.tables["event"].get(identifier)
            if event and event["pending_webhooks"]:
                event["pending_webhooks"] -= 1

    def deliver(
        self, event: Json, endpoint: Json, *, secret: str | None = None, at: int | None = None
    ) -> int | str:
        """Make one POST, and return its status or what went wrong. It is signed at the real time, whatever the fake's
        clock says.
        """
        body = encode(event)
        own_secret = self.store.private[endpoint["id"]].get("secret", "")
        header = signature(
            body, own_secret if secret is None else secret, at=int(time.time()) if at is None else at
        )
        target = urlsplit(endpoint["url"])
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=TIMEOUT_SECONDS)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": header,
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            connection.request(
                "POST", target.path + (f"?{target.query}" if target.query else ""), body, headers
            )
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    @staticmethod
    def line(event: Json, endpoint: Json, status: int | str, attempt: int = 0) -> Json:
        return {
            "event": event["id"],
            "type": event["type"],
            "endpoint": endpoint["id"],
            "status": status,
            "attempt": attempt,
        }


def arranged(jobs: list[Job], order: Any, chance: random.Random) -> list[Job]:
    if order == "shuffled":
        return chance.sample(jobs, len(jobs))
    if order == "reversed":
        return jobs[::-1]
    if isinstance(order, list):
        return [job for wanted in order for job in jobs if job.event["id"] == wanted]
    return list(jobs)
