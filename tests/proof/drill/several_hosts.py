"""F23: the service on several hosts: one state for all of them, and each may be lost or cut off separately."""

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from calls import Answer, Caller
from fleet import Fleet, ToHost
from instance import directory
from mail_sink import MailSink
from network import STORES, Host, Network, missing
from people import Span, Watch, await_mails, bearer
from reckoning import Verdict, reckon
from traffic import Operation, add, at_once, use

BALANCE, USES, TWINS = 100, 200, 30
WRONG = 5  # passwords, before an account is closed to an address (RATE_LIMITS, login_failures)
CUT = 10.0  # seconds
# For so long `/readyz` may repeat that all was well: FRESH of config/health.py, and an answer.
GOOD_LOOK = 1.2
CALLERS = 6  # fewer than a listener has threads: a call beyond them waits for a thread besides
# With its link the host forgets its neighbours' addresses: for 3 s the kernel asks for them and holds packets back.
REFUSED_WITHIN = 3.5
BACK_WITHIN, REVOKED_WITHIN = 5.0, 1.0
REVOKED_AT = "SELECT extract(epoch FROM revoked_at)::float8 FROM accounts_servicekey WHERE id = %s"


def stores_apps_and_jobs(_instance: object, _sink: MailSink, verdict: Verdict) -> None:
    """Run the stores, two serving hosts and one for jobs as network namespaces; then kill one host and cut one off."""
    if why := missing():
        verdict.notes.append(f"skipped: {why}")
        return
    with directory() as place, Network() as network, MailSink(network.own_address) as sink:
        fleet = Fleet(place, network, mail_port=sink.port)
        fleet.start()
        _Drill(fleet, verdict).run(sink)


class _Drill:
    def __init__(self, fleet: Fleet, verdict: Verdict) -> None:
        self.fleet, self.verdict = fleet, verdict
        self.people = fleet.people(12)
        self.first, self.second = fleet.apps
        self.loads = {host.name: ToHost(fleet, host) for host in fleet.apps}
        self.all = self.loads[self.second.name]  # which answers to the end

    def run(self, sink: MailSink) -> None:
        self.session()
        self.wrong_passwords()
        self.one_balance()
        self.one_key()
        self.revoked_key()
        self.mail(sink)
        self.all.give(self.people[:8], 100_000)
        self.killed()
        self.cut_off()
        self.all.operations += self.loads[self.first.name].operations
        reckon(self.verdict, self.all)

    def require(self, condition: bool, failure: str) -> None:
        self.verdict.require(condition, failure)

    def note(self, text: str) -> None:
        self.verdict.notes.append(text)

    # One state

    def session(self) -> None:
        person = self.people[8]
        here, there = self.fleet.device(self.first), self.fleet.device(self.second)
        made = here.post("/v1/auth/login", {"email": person.email, "password": person.password})
        seen = there.get("/v1/auth/me", bearer(made))
        renewed = there.post("/v1/auth/refresh", {"refresh_token": made.body["refresh_token"]})
        ended = here.post("/v1/auth/logout", None, bearer(renewed))
        after = [there.get("/v1/auth/me", bearer(renewed)), here.get("/v1/auth/me", bearer(renewed))]
        self.verdict.count([made, seen, renewed, ended])
        self.require(seen.done and renewed.done, f"a session of app1 was answered {seen.status} at app2")
        self.require(ended.done, f"signing out was answered {ended.status} {ended.code}")
        statuses = [answer.status for answer in after]
        self.require(statuses == [401, 401], f"a session that was ended at app1 was answered {statuses}")
        self.note("a session of app1: known and renewed at app2, and refused there by the call after its end")

    def wrong_passwords(self) -> None:
        person = self.people[9]
        devices = [self.fleet.device(host, address="10.9.9.9") for host in self.fleet.apps]
        tries = [
            device.post("/v1/auth/login", {"email": person.email, "password": "a wrong password 1"})
            for device, _ in zip(itertools.cycle(devices), range(WRONG), strict=False)
        ]
        body = {"email": person.email, "password": person.password}
        sixth = [device.post("/v1/auth/login", body) for device in devices]
        statuses = [answer.status for answer in (*tries, *sixth)]
        self.require(statuses == [401] * WRONG + [429] * 2, f"wrong passwords were answered {statuses}")
        self.note(f"{WRONG} wrong passwords by turns: then 429 at both, the right one too")

    def callers(self) -> partial[Caller]:
        """Return a maker of callers that alternate between the hosts, wherever threads need one."""
        hosts = itertools.cycle(self.fleet.apps)
        return partial(lambda: self.fleet.service(next(hosts)))

    def one_balance(self) -> None:
        person = self.people[10]
        self.all.give([person], BALANCE)
        uses = [use(person.id) for _ in range(USES)]
        at_once([partial(self.all.send, one) for one in uses], self.callers())
        seen = Counter(one.answers[0].status for one in uses)
        wanted = {201: BALANCE, 402: USES - BALANCE}
        self.require(seen == wanted, f"spends at both hosts were answered {dict(seen)}")
        self.note(f"{USES} spends on {BALANCE}, by turns: {dict(sorted(seen.items(), key=str))}")

    def one_key(self) -> None:
        person = self.people[11]
        self.all.give([person], BALANCE)
        twin = use(person.id, 7)
        self.all.operations.append(twin)
        answers = at_once([twin.send] * 2 * TWINS, self.callers())
        fresh = [answer for answer in answers if "idempotency-replayed" not in answer.headers]
        made = {answer.body["id"] for answer in answers if answer.done}
        one = len(fresh) == len(made) == 1 and all(answer.done for answer in answers)
        self.require(one, f"{len(fresh)} of {len(answers)} twins were answered as the first")
        self.note(f"one key {len(answers)} times at once, by turns: {len(made)} charge")

    def revoked_key(self) -> None:
        scopes = "credits:read"
        _, said = self.fleet.manage("service_key", "create", "neighbour", "--scopes", scopes, "--json")
        key = json.loads(said[said.index("{") :])
        watch, path = Watch(), f"/v1/credits/balance?user_id={self.people[10].id}"
        for host in self.fleet.apps:
            service = self.fleet.service(host, key=key["key"])
            self.require(service.get(path).done, f"{host.name} did not take a new key")
            watch.every(0.02, host.name, partial(service.get, path))
        off = time.time() - time.monotonic()  # all hosts have one clock, and the database's is that too
        self.fleet.manage("service_key", "revoke", key["id"], "--json")
        time.sleep(1.5)
        watch.stop()
        revoked = float(self.fleet.rows(REVOKED_AT, key["id"])[0][0]) - off
        for host in self.fleet.apps:
            taken = [answer.finished - revoked for answer in watch.answers[host.name] if answer.done]
            last, final = max(taken), watch.answers[host.name][-1].status
            self.require(final == 401, f"{host.name} answered a revoked key {final}")
            self.require(last <= REVOKED_WITHIN, f"{host.name} took a revoked key for {last:.2f} s")
            self.note(f"a revoked key: its last success at {host.name} was {max(last, 0):.2f} s later")

    def mail(self, sink: MailSink) -> None:
        email = f"new-{random.randrange(10**9)}@drill.example"
        body = {"email": email, "password": "correct horse battery 7"}
        asked = self.fleet.device(self.first).post("/v1/auth/register", body)
        took = await_mails(sink, [email], within=30)
        mail = sink.newest(email)
        self.verdict.count([asked])
        self.require(
            mail is not None and mail.sender == self.fleet.jobs.address, "jobs did not send the mail"
        )
        self.note(f"a mail asked for at app1 went out from jobs {took:.1f} s later")

    # One host lost, one cut off

    def spend_or_add(self) -> Operation:
        return random.choice((use, use, add))(random.choice(self.people[:8]).id, random.randrange(1, 4))

    def answers(self, host: Host, span: Span) -> list[Answer]:
        operations = list(self.loads[host.name].operations)
        return [a for one in operations for a in one.answers if span[0] <= a.started < span[1]]

    def undisturbed(self, what: str, span: Span) -> None:
        met = self.answers(self.second, span)
        failed = [str(answer.status or answer.error) for answer in met if not answer.done]
        slowest = max((answer.seconds for answer in met), default=0.0)
        self.note(f"app2 while app1 was {what}: {len(failed)} of {len(met)} failed, slowest {slowest:.2f} s")
        self.require(bool(met) and not failed, f"app2 failed {Counter(failed)} while app1 was {what}")

    def killed(self) -> None:
        loads = [load.running(self.spend_or_add, clients=4, per_second=30) for load in self.loads.values()]
        with loads[0], loads[1]:
            time.sleep(3)
            begun = time.monotonic()
            self.first.kill()
            time.sleep(5)
            self.fleet.serve(self.first)
            ready = self.fleet.await_ready(self.first)
            back = self.loads[self.first.name].recovery(time.monotonic(), within=20)
            time.sleep(2)
        self.undisturbed("killed", (begun, time.monotonic()))
        self.verdict.recovered(back, within=BACK_WITHIN, what="app1 after its start")
        self.note(f"app1 started again: ready after {ready:.1f} s")

    def cut_off(self) -> None:
        watch = Watch()
        self._watch(watch)
        loads = [
            load.running(self.spend_or_add, clients=CALLERS, per_second=30) for load in self.loads.values()
        ]
        with loads[0], loads[1]:
            time.sleep(3)
            self.first.cut(STORES)
            begun = time.monotonic()
            time.sleep(CUT)
            self.first.mend(STORES)
            mended = time.monotonic()
            back = self.loads[self.first.name].recovery(mended, within=30)
            time.sleep(max(0.0, mended + BACK_WITHIN + 3 - time.monotonic()))
        watch.stop()
        ended = time.monotonic()
        self.undisturbed("cut off", (begun, ended))
        self.verdict.recovered(back, within=BACK_WITHIN, what="app1 after its link came back")
        watch.answers["use and add"] = self.answers(self.first, (begun, ended))
        self._judge_cut(watch, (begun, mended), (mended + BACK_WITHIN, ended))

    def _watch(self, watch: Watch) -> None:
        person, device = self.people[8], self.fleet.device(self.first)
        body = {"email": person.email, "password": person.password}
        session = bearer(device.post("/v1/auth/login", body))
        services = self.fleet.service(self.first)
        calls: dict[str, Callable[[], Answer]] = {
            "livez": partial(self.fleet.device(self.first).get, "/livez"),
            "readyz": partial(self.fleet.device(self.first).get, "/readyz"),
            "me": partial(device.get, "/v1/auth/me", session),
            "balance": partial(services.get, f"/v1/credits/balance?user_id={person.id}"),
            "login": lambda: self.fleet.device(self.first).post("/v1/auth/login", body),
        }
        for kind, call in calls.items():
            watch.every(1.0 if kind == "login" else 0.2, kind, call)

    def _judge_cut(self, watch: Watch, cut: Span, later: Span) -> None:
        """Check the calls made while the stores were cut off: a prompt 503, alive throughout, and all well
        afterwards.
        """
        for kind in watch.answers:
            begun = cut[0] + (GOOD_LOOK if kind == "readyz" else 0)
            met = [answer for answer in watch.within(kind, (begun, cut[1])) if answer.finished < cut[1]]
            statuses = sorted({str(answer.status or answer.error) for answer in met})
            slowest = max((answer.seconds for answer in watch.within(kind, cut)), default=0.0)
            failed, made = watch.failed(kind, later)
            self.note(
                f"{kind} at app1 cut off: {len(met)}, {', '.join(statuses)}, the slowest {slowest:.2f} s"
            )
            wanted = ["200"] if kind == "livez" else ["503"]
            self.require(statuses == wanted, f"{kind} at app1 cut off was answered {statuses}")
            self.require(slowest <= REFUSED_WITHIN, f"{kind} at app1 cut off took {slowest:.2f} s")
            self.require(made > 0 and not failed, f"{kind}: {failed} of {made} failed after the return")
