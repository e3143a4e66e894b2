"""After a fault: compares what was acknowledged with the journal, and reports the result in a line."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from calls import Answer, Caller
from instance import SERVICE
from traffic import Operation, Traffic, at_once

JOURNAL = """
SELECT key, id::text, reference, amount FROM credits_credittransaction WHERE service = %s AND key = ANY(%s)
"""
REFERENCES = """
SELECT reference FROM credits_credittransaction WHERE reference = ANY(%s) GROUP BY reference HAVING count(*) > 1
"""
BALANCES = "SELECT holder_id::text, balance FROM credits_usercredit WHERE holder_id = ANY(%s::uuid[])"


@dataclass
class Verdict:
    """One line of the drill's table."""

    fault: str
    sent: int = 0
    acked: int = 0
    refused: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0
    recovery: float | None = None  # seconds, the longest
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def require(self, condition: bool, failure: str) -> None:
        if not condition:
            self.failures.append(failure)

    def recovered(self, seconds: float, *, within: float, what: str) -> None:
        self.recovery = max(self.recovery or 0.0, seconds)
        self.require(seconds <= within, f"{what} took {seconds:.1f} s, more than {within:.0f}")

    def count(self, answers: Iterable[Answer]) -> None:
        """Count calls that change no balance."""
        for answer in answers:
            self.sent += 1
            self.acked += answer.done
            self.refused += answer.refused or answer.status == 429
            self.unknown += not (answer.done or answer.refused or answer.status == 429)
            self.blame(answer)

    def blame(self, answer: Answer) -> None:
        fault = answer.fault()
        if fault and f"{fault} was answered" not in self.failures:
            self.failures.append(f"{fault} was answered")

    def __str__(self) -> str:
        counts = (
            f"{self.sent:6} {self.acked:6} {self.refused:7} {self.unknown:7} {self.lost:5} {self.doubled:7}"
        )
        recovery = "       -" if self.recovery is None else f"{self.recovery:6.1f} s"
        return f"{self.fault:5}{counts} {recovery}  {'FAIL' if self.failures else 'pass'}"


HEADING = "fault  sent  acked refused unknown  lost doubled recovery  result"


def reckon(verdict: Verdict, traffic: Traffic) -> None:
    """Repeat calls with an unknown outcome, then compare every call with the journal, and every balance with its
    calls.
    """
    operations = traffic.operations
    states = Counter(operation.first_state for operation in operations)
    verdict.sent += len(operations)
    verdict.acked += states["acked"]
    verdict.refused += states["refused"]
    verdict.unknown += states["unknown"]
    settle(traffic, verdict)
    for operation in operations:
        for answer in operation.answers:
            verdict.blame(answer)
    compare_with_journal(verdict, traffic)
    compare_balances(verdict, traffic)
    verify_ledger(verdict, traffic)
    verdict.notes.append(traffic.statuses())


def settle(traffic: Traffic, verdict: Verdict, *, within: float = 60.0) -> None:
    """Repeat every unknown call with its key until its outcome is known."""
    deadline = time.monotonic() + within

    def insist(operation: Operation, caller: Caller) -> None:
        while operation.state == "unknown" and time.monotonic() < deadline:
            if not operation.send(caller).done:
                time.sleep(0.1)

    unknown = [operation for operation in traffic.operations if operation.state == "unknown"]
    if unknown:
        at_once([partial(insist, operation) for operation in unknown], traffic.caller, clients=6)
    left = sum(operation.state == "unknown" for operation in traffic.operations)
    verdict.require(not left, f"{left} calls stayed unknown")


def compare_with_journal(verdict: Verdict, traffic: Traffic) -> None:
    operations = traffic.operations
    keys = [operation.key for operation in operations]
    rows: dict[str, list[str]] = {}
    for key, id, _, _ in traffic.instance.rows(JOURNAL, SERVICE, keys):
        rows.setdefault(key, []).append(id)
    lost = [operation for operation in operations if operation.done and not _kept(operation, rows)]
    wrong = [operation for operation in operations if operation.state == "refused" and operation.key in rows]
    references = [o.body["reference"] for o in operations if "reference" in o.body]
    doubled = traffic.instance.rows(REFERENCES, references)
    verdict.lost += len(lost)
    verdict.doubled += len(doubled) + sum(len(ids) > 1 for ids in rows.values())
    verdict.require(not verdict.lost, f"{verdict.lost} acknowledged calls are lost")
    verdict.require(not verdict.doubled, f"{verdict.doubled} calls were applied twice")
    verdict.require(not wrong, f"{len(wrong)} refused calls were applied")


def _kept(operation: Operation, rows: dict[str, list[str]]) -> bool:
    """Return whether the successes that the caller saw match the row with their key; for a hold, the row that placed
    it.
    """
    ids = rows.get(operation.key, [])
    told = {answer.body["id"] for answer in operation.answers if answer.done}
    if operation.path.endswith(("/capture", "/release")):
        return len(ids) == 1
    return told == set(ids)


def compare_balances(verdict: Verdict, traffic: Traffic) -> None:
    """Compare the sum of the answers with the balance, user by user. The drill's users have no other transactions."""
    expected: Counter[str] = Counter()
    for operation in traffic.operations:
        answer = operation.done
        if answer is not None:
            expected[operation.user_id] += int(_posted(answer).get("amount", 0))
    found = {user: int(balance) for user, balance in traffic.instance.rows(BALANCES, list(expected))}
    off = sum(found.get(user, 0) != amount for user, amount in expected.items())
    verdict.require(not off, f"{off} balances are not what was answered")


def _posted(answer: Answer) -> dict[str, int]:
    """Return the transaction of an answer; placing or releasing a hold moved no credits."""
    body = answer.body
    if "status" not in body:
        return dict(body)
    transaction = body.get("transaction")
    return dict(transaction) if transaction else {}


def verify_ledger(verdict: Verdict, traffic: Traffic) -> None:
    status, said = traffic.instance.manage("verify_ledger")
    verdict.require(status == 0, f"verify_ledger: {said.strip()[-300:]}")
