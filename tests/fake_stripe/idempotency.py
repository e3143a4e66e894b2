"""Idempotency keys as at Stripe: the first answer is kept for a day, errors included."""

import threading
from dataclasses import dataclass

from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json, Refusal

KEPT_SECONDS = 24 * 3600


@dataclass
class Answer:
    status: int
    body: Json
    headers: dict[str, str]


@dataclass
class Entry:
    request: tuple[str, str, str]
    created: int
    request_id: str
    answer: Answer | None = None


class Keys:
    """The keys of one account, aged by the fake's clock."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lock = threading.Lock()
        self.entries: dict[str, Entry] = {}

    def begin(self, key: str, request: tuple[str, str, str], request_id: str) -> Answer | None:
        """Return a kept answer to replay, or None: the caller then carries the request out and calls `keep` or
        `forget`.
        """
        with self.lock:
            entry = self.entries.get(key)
            if entry and self.store.now() - entry.created >= KEPT_SECONDS:
                entry = None
            if entry is None:
                self.entries[key] = Entry(request, self.store.now(), request_id)
                return None
            if entry.request != request:
                raise other_request(key)
            if entry.answer is None:
                raise in_progress()
            replay = {"idempotent-replayed": "true", "original-request": entry.request_id}
            return Answer(entry.answer.status, entry.answer.body, {**entry.answer.headers, **replay})

    def keep(self, key: str, answer: Answer) -> None:
        with self.lock:
            if key in self.entries:
                self.entries[key].answer = answer

    def forget(self, key: str) -> None:
        with self.lock:
            self.entries.pop(key, None)

    def clear(self) -> None:
        with self.lock:
            self.entries.clear()


def other_request(key: str) -> Refusal:
    return Refusal(
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request.",
        type="idempotency_error",
        stored=False,
    )


def in_progress() -> Refusal:
    return Refusal(
        "There is currently another in-progress request using this Idempotency Key (that probably means you "
        "submitted twice, and the other request is still going through). Please try again later.",
        status=409,
        type="idempotency_error",
        code="idempotency_key_in_use",
        stored=False,
    )
