"""F28: PostgreSQL on three hosts under Patroni: the primary changes, and each host is lost, under load."""

import random
import time
from collections.abc import Callable
from itertools import pairwise

from calls import Answer
from instance import Instance, instance
from mail_sink import MailSink
from patroni_hosts import Cluster, UnderPatroni, cluster, missing
from people import Span, Watch, bearer, caller, login
from postgres import OWNER, SERVING
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, add, use

CLIENTS, PER_SECOND = 8, 60
SETTLED = 5.0  # seconds of load before and after each
TTL = 20.0  # of deploy/patroni: for so long a lost primary keeps its title
# Without writes, at most: Patroni's word, HAProxy's two looks, and an election on a machine that others use.
SWITCHED_WITHIN, FAILED_OVER_WITHIN, STANDBY_LOST_WITHIN = 10.0, TTL + 20.0, 15.0
APPLICATION = ("web", "internal", "admin", "worker", "beat")


def under_patroni(_instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Switch over, then lose the synchronous standby, the primary, and the primary's link, while keyed spends run."""
    if why := missing():
        verdict.notes.append(f"skipped: {why}")
        return
    with (
        cluster() as hosts,
        instance(
            UnderPatroni,
            mail_port=sink.port,
            DATABASE_URL=hosts.url(SERVING),
            DATABASE_MIGRATE_URL=hosts.url(OWNER),
            DATABASE_REPLICA_URL=hosts.url(SERVING, hosts.replica_port),
        ) as running,
    ):
        _Drill(running, hosts, verdict).run()


class _Drill:
    def __init__(self, running: Instance, hosts: Cluster, verdict: Verdict) -> None:
        self.running, self.hosts, self.verdict = running, hosts, verdict
        self.people, self.traffic, self.watch = running.people(20), Traffic(running), Watch()

    def run(self) -> None:
        self.traffic.give(self.people, 10_000)
        device, session = caller(self.running), bearer(login(self.running, self.people[0]))
        self.watch.every(0.3, "status", lambda: device.get("/v1/auth/me/status", session))
        before = self._processes()
        with self.traffic.running(self._spend_or_add, clients=CLIENTS, per_second=PER_SECOND):
            self._meanwhile("a planned switchover", self._switch, within=SWITCHED_WITHIN)
            self._meanwhile("the synchronous standby lost", self._lose_standby, within=STANDBY_LOST_WITHIN)
            self._meanwhile("the primary lost", self._lose_primary, within=FAILED_OVER_WITHIN)
            self._meanwhile("the primary cut off", self._cut_primary, within=FAILED_OVER_WITHIN)
        self.watch.stop()
        self.verdict.require(before == self._processes(), "processes of the application were replaced")
        reckon(self.verdict, self.traffic)

    def _processes(self) -> object:
        return {name: (self.running.process(name), self.running.workers(name)) for name in APPLICATION}

    def _spend_or_add(self) -> Operation:
        return random.choice((use, use, add))(random.choice(self.people).id, random.randrange(1, 4))

    def _meanwhile(self, what: str, lose: Callable[[], Callable[[], None]], *, within: float) -> None:
        """Break something, wait until calls succeed again, repair it, and wait until there are three members."""
        time.sleep(SETTLED)
        began = time.monotonic()
        mend = lose()
        self._require_success(what, since=time.monotonic())
        lost = (began, time.monotonic())
        mend()
        whole = self.hosts.await_whole()
        time.sleep(SETTLED)
        self._judge(what, lost, within, whole)

    def _require_success(self, what: str, *, since: float) -> None:
        back = self.traffic.recovery(since, within=60)
        self.verdict.require(back < 60, f"{what}: nothing succeeded again")
        time.sleep(2)

    # What is done to it; each returns how it is mended

    def _switch(self) -> Callable[[], None]:
        leader, candidate = self.hosts.leader(), self.hosts.synchronous()
        self.hosts.switch_over(leader, candidate)
        self.hosts.await_another(leader)
        return lambda: None

    def _lose_standby(self) -> Callable[[], None]:
        lost = self.hosts.members[self.hosts.synchronous()]
        lost.lose_power()
        time.sleep(STANDBY_LOST_WITHIN)
        return lost.come_back

    def _lose_primary(self) -> Callable[[], None]:
        lost = self.hosts.members[self.hosts.leader()]
        lost.lose_power()
        self.hosts.await_another(lost.name)
        return lost.come_back

    def _cut_primary(self) -> Callable[[], None]:
        """Cut the primary off: it stays up, and must give up its role before another member takes it."""
        lost = self.hosts.members[self.hosts.leader()]
        lost.cut_off()
        self.hosts.await_another(lost.name)
        still = lost.takes_writes(self.hosts.words["SUPERUSER_PASSWORD"])
        self.verdict.require(not still, "two hosts took writes")
        return lost.mend

    # What came of it

    def _judge(self, what: str, lost: Span, within: float, whole: float) -> None:
        spent = [answer for one in list(self.traffic.operations) for answer in one.answers]
        silent = longest_silence(spent, lost)
        self.verdict.recovered(silent, within=within, what=f"{what}: the time without writes")
        met = [answer for answer in spent if lost[0] <= answer.started < lost[1]]
        others = [answer for answer in met if not answer.done]
        statuses = sorted({str(answer.status or answer.error) for answer in others})
        self.verdict.require(set(statuses) <= {"503"}, f"{what}: calls were answered {statuses}")
        slowest = max((answer.seconds for answer in met), default=0.0)
        failed, asked = self.watch.failed("status", lost)
        self.verdict.notes.append(
            f"{what}: {silent:.1f} s without writes, {len(others)} of {len(met)} calls {statuses or 'refused'}, the "
            f"slowest {slowest:.2f} s; {failed} of {asked} looks at a session failed; three again {whole:.1f} s after"
        )


def longest_silence(answers: list[Answer], span: Span) -> float:
    """Return the longest time in which nothing was acknowledged."""
    done = sorted(answer.finished for answer in answers if answer.done)
    moments = [span[0], *(moment for moment in done if span[0] < moment < span[1]), span[1]]
    return max(later - earlier for earlier, later in pairwise(moments))
