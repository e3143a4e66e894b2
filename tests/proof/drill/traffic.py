"""Load: clients that send keyed calls at a steady rate and keep every answer."""

import contextlib
import itertools
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from calls import Answer, Caller
from instance import Instance, Person


@dataclass(eq=False)
class Operation:
    """One call that changes a balance, under one key, and each answer it got."""

    user_id: str
    path: str
    body: dict[str, Any]
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    answers: list[Answer] = field(default_factory=list)

    @property
    def done(self) -> Answer | None:
        return next((answer for answer in self.answers if answer.done), None)

    @property
    def state(self) -> str:
        """Return acked, refused, or unknown, which means no answer or one that says to retry."""
        if self.done:
            return "acked"
        return "refused" if self.answers and self.answers[-1].refused else "unknown"

    @property
    def first_state(self) -> str:
        """Return what the client knew before it retried."""
        first = self.answers[0]
        return "acked" if first.done else "refused" if first.refused else "unknown"

    def send(self, caller: Caller) -> Answer:
        answer = caller.post(self.path, self.body, {"Idempotency-Key": self.key})
        self.answers.append(answer)
        return answer


def use(user_id: str, amount: int = 1) -> Operation:
    return _operation(user_id, "/v1/credits/use", amount)


def add(user_id: str, amount: int = 1) -> Operation:
    return _operation(user_id, "/v1/credits/add", amount)


def hold(user_id: str, amount: int = 1) -> Operation:
    return _operation(user_id, "/v1/credits/holds", amount)


def _operation(user_id: str, path: str, amount: int) -> Operation:
    """Return the operation. Its reference reveals what was done twice under two keys, which no key would show."""
    return Operation(
        user_id, path, {"user_id": user_id, "amount": amount, "reference": f"drill-{uuid.uuid4()}"}
    )


class Traffic:
    """Everything that was sent, by any number of clients."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.operations: list[Operation] = []

    def caller(self) -> Caller:
        return Caller(self.instance.ports["internal"], {"X-API-Key": self.instance.api_key})

    def send(self, operation: Operation, caller: Caller) -> Answer:
        self.operations.append(operation)
        return operation.send(caller)

    def give(self, people: Sequence[Person], amount: int) -> None:
        caller = self.caller()
        for person in people:
            self.send(add(person.id, amount), caller)

    @contextlib.contextmanager
    def running(
        self, make: Callable[[], Operation], *, clients: int, per_second: float
    ) -> Iterator["Traffic"]:
        """Keep the load up while the block runs; open calls are awaited."""
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._client, args=(make, clients / per_second, stop), daemon=True)
            for _ in range(clients)
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)

    def _client(self, make: Callable[[], Operation], interval: float, stop: threading.Event) -> None:
        caller = self.caller()
        due = time.monotonic() + random.random() * interval
        while not stop.wait(max(0.0, due - time.monotonic())):
            self.send(make(), caller)
            due = max(due + interval, time.monotonic() - interval)  # what was missed is not made up for

    def at_once(self, operations: Sequence[Operation], *, clients: int | None = None) -> None:
        """Make all calls at once, or with this many clients as fast as they can."""
        at_once(
            [lambda caller, one=one: self.send(one, caller) for one in operations],  # type: ignore[misc]
            self.caller,
            clients=clients,
        )

    def first_done(self, since: float) -> float | None:
        """Return when the first call that started after this moment succeeded."""
        return min(
            (a.finished for o in list(self.operations) for a in o.answers if a.done and a.started >= since),
            default=None,
        )

    def recovery(self, since: float, *, within: float) -> float:
        """Return the seconds until the first success of a call that started after this moment; infinite if there is
        none.
        """
        while time.monotonic() < since + within:
            found = self.first_done(since)
            if found is not None:
                return found - since
            time.sleep(0.02)
        return float("inf")

    def statuses(self) -> str:
        seen = Counter(a.status or a.error for operation in self.operations for a in operation.answers)
        return ", ".join(f"{count} x {status}" for status, count in sorted(seen.items(), key=str))


def at_once(
    tasks: Sequence[Callable[[Caller], Any]],
    make_caller: Callable[[], Caller],
    *,
    clients: int | None = None,
) -> list[Any]:
    """Run the tasks in threads that start together, and return their results in order."""
    results: list[Any] = [None] * len(tasks)
    numbers, taking = itertools.count(), threading.Lock()
    count = clients or len(tasks)
    start = threading.Barrier(count)

    def work() -> None:
        caller = make_caller()
        start.wait()
        while True:
            with taking:
                number = next(numbers)
            if number >= len(tasks):
                return
            results[number] = tasks[number](caller)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that this fraction of all values does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0
