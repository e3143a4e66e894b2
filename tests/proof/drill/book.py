"""A client that makes every kind of ledger call at random, based on what earlier calls left to settle."""

import random
import threading
from collections.abc import Callable
from typing import Any

from calls import Answer, Caller
from traffic import Operation, Traffic, add, hold, use

BATCH = 12


class Book:
    """Open holds and refundable uses, shared by all clients; two clients may well pick the same one."""

    def __init__(self, traffic: Traffic, users: list[str]) -> None:
        self._traffic, self._users = traffic, users
        self._lock = threading.Lock()
        self._holds: list[tuple[str, str]] = []  # id, user
        self._uses: list[tuple[str, str]] = []

    def something(self, caller: Caller) -> None:
        """Make one call; every tenth is a batch."""
        if random.random() < 0.1:
            self._batch(caller)
        else:
            _, operation = self._choose()
            self._traffic.send(operation, caller)
            self._note(operation)

    def _choose(self) -> tuple[str, Operation]:
        """Return the operation's name in a batch, and the operation."""
        makers: list[tuple[str, Callable[[], Operation | None]]] = [
            ("add", lambda: add(self._user(), random.randrange(1, 50))),
            ("use", lambda: use(self._user(), random.randrange(1, 60))),
            ("use", lambda: use(self._user(), random.randrange(1, 60))),
            ("hold", lambda: hold(self._user(), random.randrange(1, 60))),
            ("capture", lambda: self._settle("capture")),
            ("release", lambda: self._settle("release")),
            ("refund", self._refund),
        ]
        name, make = random.choice(makers)
        operation = make()
        return (name, operation) if operation else ("add", add(self._user()))

    def _user(self) -> str:
        return random.choice(self._users)

    def _settle(self, verb: str) -> Operation | None:
        with self._lock:
            found = random.choice(self._holds) if self._holds else None
            if found and random.random() < 0.8:  # the others are settled twice
                self._holds.remove(found)
        return Operation(found[1], f"/v1/credits/holds/{found[0]}/{verb}", {}) if found else None

    def _refund(self) -> Operation | None:
        with self._lock:
            found = random.choice(self._uses) if self._uses else None
        if found is None:
            return None
        body = {"transaction_id": found[0], "amount": random.randrange(1, 5)}
        return Operation(found[1], "/v1/credits/refund", body)

    def _note(self, operation: Operation) -> None:
        """Record what a success leaves to settle."""
        answer = operation.done
        if answer is None:
            return
        with self._lock:
            if operation.path == "/v1/credits/use":
                self._uses.append((answer.body["id"], operation.user_id))
            elif operation.path == "/v1/credits/holds":
                self._holds.append((answer.body["id"], operation.user_id))

    def _batch(self, caller: Caller) -> None:
        """Make many calls in one request; each result counts as the answer to its own call."""
        chosen = [self._choose() for _ in range(BATCH)]
        operations = [operation for _, operation in chosen]
        self._traffic.operations += operations
        whole = caller.post(
            "/v1/credits/batch", {"operations": [_entry(name, operation) for name, operation in chosen]}
        )
        for index, operation in enumerate(operations):
            operation.answers.append(_single(whole, index) if whole.done else whole)
            self._note(operation)


def _entry(name: str, operation: Operation) -> dict[str, Any]:
    entry = {"op": name, "idempotency_key": operation.key, **operation.body}
    if name in {"capture", "release"}:
        entry["hold_id"] = operation.path.split("/")[-2]
    return entry


def _single(whole: Answer, index: int) -> Answer:
    result = whole.body["results"][index]
    body = next((result[part] for part in ("transaction", "hold", "problem") if part in result), None)
    return Answer(result["status"], whole.started, whole.finished, body, whole.headers)
