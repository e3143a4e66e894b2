"""F1: web processes are killed under load."""

import os
import random
import signal
import time

from instance import Instance
from mail_sink import MailSink
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, add, use

CLIENTS, PER_SECOND = 8, 50
KILLS_OF_WORKERS, KILLS_OF_MASTERS = 20, 4
LEFT_IDLE = """
SELECT count(*) FROM pg_stat_activity
WHERE state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '10 seconds'
"""


def web_workers_and_masters(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Kill (-9) a worker of the internal listener many times, then its master, which the supervisor replaces."""
    people, traffic = instance.people(20), Traffic(instance)
    traffic.give(people, 10_000)

    def spend_or_add() -> Operation:
        return random.choice((use, use, add))(random.choice(people).id, random.randrange(1, 4))

    with traffic.running(spend_or_add, clients=CLIENTS, per_second=PER_SECOND):
        time.sleep(2)
        for _ in range(KILLS_OF_WORKERS):
            verdict.recovered(
                _kill_worker(instance, traffic), within=5, what="serving after a worker's death"
            )
            time.sleep(1)
        for _ in range(KILLS_OF_MASTERS):
            verdict.recovered(
                _kill_master(instance, traffic), within=10, what="serving after a master's death"
            )
            time.sleep(6)
        time.sleep(5)
        idle = instance.rows(LEFT_IDLE)[0][0]
        verdict.require(idle == 0, f"{idle} transactions are left idle")
    reckon(verdict, traffic)


def _kill_worker(instance: Instance, traffic: Traffic) -> float:
    """Kill a worker. Return the seconds until a later call succeeded and both workers are back."""
    full = len(instance.workers("internal"))
    os.kill(random.choice(instance.workers("internal")), signal.SIGKILL)
    killed = time.monotonic()
    serving = traffic.recovery(killed, within=10)
    time.sleep(0.2)  # until the master has noticed
    instance.await_(
        lambda: len(instance.workers("internal")) >= full, "the worker was not replaced", within=10
    )
    return serving


def _kill_master(instance: Instance, traffic: Traffic) -> float:
    """Kill the master. Return the seconds until the new listener answered; old workers may answer for a second more."""
    old = instance.process("internal")
    os.kill(old, signal.SIGKILL)
    killed = time.monotonic()
    instance.await_(lambda: instance.process("internal") != old, "the master was not replaced", within=20)
    instance.await_(lambda: instance.answers("internal", "/livez"), "the listener is not back", within=20)
    answering = time.monotonic()
    return answering - killed + traffic.recovery(answering, within=20)
