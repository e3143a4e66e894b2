"""F26: a read replica falls behind, is lost, and returns; no one gets less than the primary has."""

import random
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from instance import Instance, Person, instance
from mail_sink import MailSink
from people import bearer, caller, login
from postgres import OWNER, SERVING
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, add, use
from two_servers import OnTwoServers, Pair, pair

CLIENTS, PER_SECOND = 4, 30
MOST_BEHIND = 5  # seconds, DATABASE_REPLICA_LAG of the drill
PHASE, LONG_BEHIND = 10.0, 32.0  # seconds of a state; of the one in which the replica applies nothing
BACK_WITHIN = 20.0
HISTORY = "/v1/credits/transactions"
JOURNAL = "SELECT id::text FROM credits_credittransaction WHERE holder_id = %s::uuid ORDER BY at DESC"
APPLICATION = ("web", "internal", "admin", "worker", "beat")


def lags_goes_and_returns(_instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Pause replay, kill (-9) the standby and start it again, while keyed spends and readers of histories run."""
    with pair() as servers:
        servers.is_enough_alone()
        with instance(
            OnTwoServers,
            mail_port=sink.port,
            DATABASE_URL=_url(servers.primary.port, SERVING),
            DATABASE_MIGRATE_URL=_url(servers.primary.port, OWNER),
            DATABASE_REPLICA_URL=_url(servers.standby.port, SERVING),
            DATABASE_REPLICA_LAG=str(MOST_BEHIND),
        ) as running:
            _Drill(running, servers, verdict).run()


def _url(port: int, role: str) -> str:
    return f"postgresql://{role}@127.0.0.1:{port}/auth"


class _Drill:
    def __init__(self, running: Instance, servers: Pair, verdict: Verdict) -> None:
        self.running, self.servers, self.verdict = running, servers, verdict
        self.people, self.traffic = running.people(12), Traffic(running)
        self.quiet = self.people[:4]  # whose histories are compared while nobody changes them

    def run(self) -> None:
        self.traffic.give(self.people, 1000)
        for person in self.quiet:
            for _ in range(30):
                self.traffic.send(use(person.id), self.traffic.caller())
        before = {name: (self.running.process(name), self.running.workers(name)) for name in APPLICATION}
        with self.traffic.running(self._spend_or_add, clients=CLIENTS, per_second=PER_SECOND):
            self._phase("there", lambda: None, mostly="replica")
            self._phase("behind", self.servers.pause, mostly="primary", lasting=LONG_BEHIND)
            self._phase("there again", self.servers.resume, mostly="replica")
            self._phase("lost", self.servers.standby.kill, mostly="primary")
            self._phase("back", self.servers.standby.start, mostly="replica")
        after = {name: (self.running.process(name), self.running.workers(name)) for name in APPLICATION}
        self.verdict.require(before == after, "processes of the application were replaced")
        failed = [
            one for one in self.traffic.operations if not one.answers[0].done and not one.answers[0].refused
        ]
        self.verdict.require(not failed, f"{len(failed)} spends and grants failed for the replica")
        reckon(self.verdict, self.traffic)

    def _spend_or_add(self) -> Operation:
        return random.choice((use, use, add))(random.choice(self.people[4:]).id, random.randrange(1, 4))

    def _phase(self, name: str, begin: Callable[[], Any], *, mostly: str, lasting: float = PHASE) -> None:
        """Read histories, a balance and a session in this state; record which server answered once the service
        noticed.
        """
        begin()
        began = time.monotonic()
        wrong, slowest = 0, 0.0
        while time.monotonic() < began + lasting:
            for person in self.quiet:
                asked = time.monotonic()
                wrong += self._history(person) != self._journal(person)
                slowest = max(slowest, time.monotonic() - asked)
        self.verdict.require(
            not wrong, f"{wrong} histories were not the journal's while the replica was {name}"
        )
        counts = self._reads(lambda: [self._history(person) for person in self.quiet])
        other = "primary" if mostly == "replica" else "replica"
        self.verdict.require(counts[mostly] > counts[other], f"{name}: reads were served by {counts}")
        self._balance()
        self._revoked()
        asked = time.monotonic() - began
        self.verdict.notes.append(
            f"replica {name}: 0 wrong histories, the slowest of 4 pages {slowest:.2f} s; then read from {counts}; "
            f"after {asked:.0f} s a session that ended was refused at once, a balance that of now"
            if not wrong
            else f"replica {name}: {wrong} wrong"
        )

    def _history(self, person: Person) -> list[str]:
        service, found, cursor = self.traffic.caller(), list[str](), ""
        while True:
            answer = service.get(f"{HISTORY}?user_id={person.id}&limit=10{cursor}")
            if not answer.done:
                return [str(answer.status)]
            found += [row["id"] for row in answer.body["results"]]
            if answer.body["next"] is None:
                return found
            cursor = f"&cursor={answer.body['next']}"

    def _journal(self, person: Person) -> list[str]:
        return [row[0] for row in self.running.rows(JOURNAL, person.id)]

    def _reads(self, ask: Callable[[], Any]) -> dict[str, int]:
        before = self._counted()
        ask()
        time.sleep(2.5)  # counters are written once a second
        return {by: many - before[by] for by, many in self._counted().items()}

    def _counted(self) -> dict[str, int]:
        url = f"http://127.0.0.1:{self.running.ports['internal']}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            text = answer.read().decode()
        lines = [line for line in text.splitlines() if line.startswith("auth_replica_reads_total{")]
        found = {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}
        return {by: found.get(by, 0) for by in ("replica", "primary")}

    def _balance(self) -> None:
        """Check that a balance shows the spend just before it, however old the replica is."""
        service, person = self.traffic.caller(), self.quiet[0]
        spent = self.traffic.send(use(person.id), service)
        balance = service.get(f"/v1/credits/balance?user_id={person.id}")
        self.verdict.require(
            spent.done and balance.body["balance"] == spent.body["balance_after"], "a balance was too old"
        )

    def _revoked(self) -> None:
        """Check that the call after the end of a session is refused."""
        device = caller(self.running)
        session = bearer(login(self.running, self.people[5]))
        seen = device.get("/v1/auth/me", session).status
        ended = device.post("/v1/auth/logout", None, session).done
        after = device.get("/v1/auth/me", session).status
        self.verdict.require(
            (seen, ended, after) == (200, True, 401), f"an ended session was answered {after}"
        )
