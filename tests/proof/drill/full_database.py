"""F13: no database connection is left."""

import contextlib
import random
import threading
import time
from typing import Any

import psycopg

from instance import Instance
from mail_sink import MailSink
from people import Watch, caller
from postgres import SERVING, Postgres
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, add, use

HELD = 30.0  # seconds
OTHERS = "SELECT pid FROM pg_stat_activity WHERE usename = %s AND NOT pid = ANY(%s)"


def every_connection_taken(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Cut the application's connections, and take each one that becomes free, for 30 seconds."""
    people, traffic = instance.people(10), Traffic(instance)
    traffic.give(people, 10_000)
    watch, device = Watch(), caller(instance)

    def spend_or_add() -> Operation:
        return random.choice((use, add))(random.choice(people).id)

    watch.every(0.2, "livez", lambda: device.get("/livez"))
    with traffic.running(spend_or_add, clients=8, per_second=40):
        time.sleep(2)
        with Greedy(instance) as greedy:
            taken = time.monotonic()
            time.sleep(HELD)
            free = time.monotonic()
        verdict.recovered(traffic.recovery(time.monotonic(), within=20), within=5, what="recovery")
        time.sleep(3)
    watch.stop()
    failed, made = watch.failed("livez", (taken, free))
    verdict.require(not failed, f"/livez failed {failed} of {made} times")
    _judge_refusals(traffic, taken, free, verdict)
    verdict.notes.append(f"{greedy.most} connections held, {greedy.cut} cut")
    reckon(verdict, traffic)


def _judge_refusals(traffic: Traffic, taken: float, free: float, verdict: Verdict) -> None:
    """Check the calls made while no connection was left: 503 within 3 s."""
    answers = [a for o in traffic.operations for a in o.answers if taken + 1 < a.started < free - 1]
    refused = [answer for answer in answers if answer.status == 503]
    slowest = max((answer.seconds for answer in refused), default=0.0)
    verdict.require(bool(refused), "nothing was refused: connections were left")
    verdict.require(slowest <= 3, f"a 503 took {slowest:.1f} s")
    verdict.require(not any(a.status is None for a in answers), "calls got no answer")
    verdict.notes.append(
        f"meanwhile {len(refused)} of {len(answers)} were 503, the slowest after {slowest:.2f} s"
    )


class Greedy:
    """Takes every available connection of the serving role, and others' once they have been cut."""

    def __init__(self, instance: Instance) -> None:
        self._url, self._instance = Postgres(instance.directory).url(SERVING), instance
        self._held: list[psycopg.Connection[Any]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.most = self.cut = 0

    def __enter__(self) -> "Greedy":
        with self._instance.database() as superuser:
            self._fill()
            self._cut(superuser)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for connection in self._held:
            connection.close()

    def _work(self) -> None:
        """Keep cutting connections that others get, until stopped."""
        with self._instance.database() as superuser:
            while not self._stop.wait(0.02):
                self._cut(superuser)

    def _cut(self, superuser: psycopg.Connection[Any]) -> None:
        ours = [connection.info.backend_pid for connection in self._held]
        for (pid,) in superuser.execute(OTHERS, (SERVING, ours)).fetchall():
            superuser.execute("SELECT pg_terminate_backend(%s)", (pid,))
            self.cut += 1
            self._fill()

    def _fill(self) -> None:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                self._held.append(psycopg.connect(self._url, autocommit=True))
                self.most = max(self.most, len(self._held))
