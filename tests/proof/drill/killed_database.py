"""F2: PostgreSQL is killed under load."""

import os
import random
import signal
import time

from instance import Instance
from mail_sink import MailSink
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, add, use

CLIENTS, PER_SECOND = 8, 100
KILLS = 5
APPLICATION = ("web", "internal", "admin", "worker", "beat")


def postgresql(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Kill (-9) the whole server five times; the application must not need a restart."""
    people, traffic = instance.people(20), Traffic(instance)
    traffic.give(people, 10_000)
    before = {name: (instance.process(name), instance.workers(name)) for name in APPLICATION}

    def spend_or_add() -> Operation:
        return random.choice((use, use, add))(random.choice(people).id, random.randrange(1, 4))

    with traffic.running(spend_or_add, clients=CLIENTS, per_second=PER_SECOND):
        time.sleep(2)
        for _ in range(KILLS):
            accepting = _kill(instance)
            found = traffic.recovery(accepting, within=15)
            verdict.recovered(found, within=10, what="the first success after PostgreSQL accepted")
            time.sleep(6)  # so that its supervisor takes it for healthy
    after = {name: (instance.process(name), instance.workers(name)) for name in APPLICATION}
    verdict.require(before == after, "processes of the application were replaced")
    reckon(verdict, traffic)


def _kill(instance: Instance) -> float:
    """Kill the server, and return the moment at which it accepted connections again."""
    old = instance.process("postgres")
    os.kill(old, signal.SIGKILL)
    instance.await_(
        lambda: instance.process("postgres") != old, "PostgreSQL was not started again", within=20
    )
    instance.await_(instance.accepts_database_connections, "PostgreSQL did not come back", within=60)
    return time.monotonic()
