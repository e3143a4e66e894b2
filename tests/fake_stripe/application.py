"""One request to the API, from its headers to its answer."""

import copy
import secrets
import threading
from collections import Counter
from dataclasses import dataclass

from tests.fake_stripe import catalogue, endpoints, schedule
from tests.fake_stripe.expansion import expanded
from tests.fake_stripe.faults import Fault, Faults, failure
from tests.fake_stripe.idempotency import Answer, Keys
from tests.fake_stripe.kinds import API_VERSION
from tests.fake_stripe.routing import find, without_expand
from tests.fake_stripe.store import Store
from tests.fake_stripe.webhooks import Dispatcher
from tests.fake_stripe.wire import Json, Refusal, decode

BLACK_HOLE_SECONDS = 120.0
LONGEST_KEY = 255


class Hangup(Exception):
    """Raised to close the connection without an answer."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    text: str  # the form, from the body or the query
    headers: dict[str, str]

    @property
    def idempotency_key(self) -> str | None:
        return self.headers.get("idempotency-key") if self.method == "POST" else None


@dataclass(frozen=True)
class Start:
    """The state that a reset returns to."""

    webhook_url: str = ""
    webhook_secret: str = ""
    seed: bool = True


class Application:
    def __init__(self, start: Start) -> None:
        self.dispatcher = Dispatcher()
        self.store = Store(self.dispatcher.announce)
        self.dispatcher.store = self.store
        self.faults = Faults()
        self.keys = Keys(self.store)
        self.log: list[Json] = []
        self.bugs: list[str] = []  # of the fake itself; survives a reset
        self.log_lock = threading.Lock()
        self.start = start
        self.reset()

    def reset(self) -> None:
        self.faults.clear()
        self.dispatcher.reset()
        self.keys.clear()
        with self.store.lock:
            self.store.clear()
            endpoints.add_account(self.store)
            if self.start.webhook_url:
                endpoints.add(self.store, url=self.start.webhook_url, secret=self.start.webhook_secret)
            if self.start.seed:
                catalogue.seed(self.store)
        with self.log_lock:
            self.log.clear()

    def counts(self) -> Json:
        with self.store.lock:
            objects = {kind: len(table) for kind, table in sorted(self.store.tables.items())}
        with self.log_lock:
            requests = Counter(f"{line['method']} {line['path']}" for line in self.log)
        return {"objects": objects, "requests": dict(requests)}

    def answer(self, request: Request) -> Answer:
        request_id = f"req_{secrets.token_hex(7)}"
        fault = self.faults.take(request.method, request.path)
        try:
            authenticate(request)
            answer = self.once(request, request_id, fault)
        except Refusal as refusal:
            answer = refused(refusal, request_id)
        self.record(request, answer)
        if fault.cut:
            raise Hangup
        if fault.late:
            self.faults.wait(fault.late)
        return answer

    def once(self, request: Request, request_id: str, fault: Fault) -> Answer:
        key = request.idempotency_key
        if key is not None and len(key) > LONGEST_KEY:
            raise Refusal("Idempotency keys can have up to 255 characters.", stored=False)
        if key is None:
            return self.attempt(request, request_id, fault)[0]
        if replay := self.keys.begin(key, (request.method, request.path, request.text), request_id):
            self.hold_up(fault)
            return replay
        kept = False
        try:
            answer, kept = self.attempt(request, request_id, fault)
        finally:
            if not kept:
                self.keys.forget(key)
        self.keys.keep(key, answer)
        return answer

    def attempt(self, request: Request, request_id: str, fault: Fault) -> tuple[Answer, bool]:
        """Return the answer, and whether Stripe keeps it for the idempotency key."""
        self.hold_up(fault)
        try:
            if fault.status and not fault.committed:
                raise failure(fault.status, stored=fault.stored)
            answer = self.carry_out(request, request_id)
            if fault.status:
                raise failure(fault.status, stored=fault.stored)
        except Refusal as refusal:
            return refused(refusal, request_id), refusal.stored
        return answer, True

    def hold_up(self, fault: Fault) -> None:
        if fault.refuse:
            raise Hangup
        if fault.black_hole:
            self.faults.wait(fault.delay or BLACK_HOLE_SECONDS)
            raise Hangup
        if fault.delay:
            self.faults.wait(fault.delay)

    def carry_out(self, request: Request, request_id: str) -> Answer:
        route, identifiers = find(request.method, request.path)
        raw, paths = without_expand(decode(request.text))
        with self.store.lock:
            self.store.request = {"id": request_id, "idempotency_key": request.idempotency_key}
            schedule.catch_up(self.store)
            found = route.answer(self.store, raw, identifiers)
            return Answer(200, expanded(self.store, found, paths), {"request-id": request_id})

    def record(self, request: Request, answer: Answer) -> None:
        with self.log_lock:
            self.log.append(
                {
                    "method": request.method,
                    "path": request.path,
                    "form": decode(request.text),
                    "idempotency_key": request.idempotency_key,
                    "status": answer.status,
                    "replayed": "idempotent-replayed" in answer.headers,
                }
            )


def authenticate(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not key.startswith(("sk_test_", "rk_test_")):
        message = f"Invalid API Key provided: {key[:8]}***" if key else "You did not provide an API key."
        raise Refusal(message, status=401, stored=False)
    version = request.headers.get("stripe-version", API_VERSION)
    if version.partition(".")[2] != API_VERSION.partition(".")[2]:
        message = f"The fake Stripe answers as {API_VERSION}, not as {version}."
        raise Refusal(message, code="fake_unsupported", stored=False)


def refused(refusal: Refusal, request_id: str) -> Answer:
    error = {
        **copy.deepcopy(refusal.error),
        "request_log_url": f"https://dashboard.stripe.com/test/logs/{request_id}",
    }
    return Answer(refusal.status, {"error": error}, {"request-id": request_id, **refusal.headers})
