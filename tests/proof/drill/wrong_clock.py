"""F12: one host's clock is five minutes off; everything follows the database's clock."""

import base64
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

import procfile
from calls import Answer, Caller
from instance import ROOT, Instance, Person
from mail_sink import MailSink
from people import bearer
from reckoning import Verdict, reckon
from restarts import Listener, environment_of
from traffic import Operation, Traffic, add

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
SECONDS = 300
NEAR = 3.0  # seconds by which a time may miss the database's: the call itself takes some
LIFETIME = 120  # of a hold: less than the clock is off
TURNS = 40
WATCHED = 30  # seconds in which beat sends some tasks every five
COUNTED = re.compile(
    r'^auth_celery_task_duration_seconds_count\{[^}]*state="(\w+)"[^}]*\} (\S+)$', re.MULTILINE
)
ORDER = "SELECT key, at FROM credits_credittransaction WHERE holder_id = %s AND key = ANY(%s) ORDER BY at"
NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
EXPIRES = "SELECT extract(epoch FROM expires_at)::float8 FROM credits_creditlot WHERE transaction_id = %s"


@dataclass
class Host:
    """A public and an internal listener with the same clock."""

    public: Listener
    internal: Listener
    key: str

    @property
    def device(self) -> Caller:
        return Caller(self.public.port)

    @property
    def service(self) -> Caller:
        return Caller(self.internal.port, {"X-API-Key": self.key})


Hosts = tuple[Host, Host]  # the right one and the wrong one


def one_host(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Run a host that is five minutes ahead, and one that is five minutes behind, beside one that is right."""
    library = next((str(found) for pattern in LIBRARIES for found in Path("/").glob(pattern[1:])), None)
    if library is None:
        verdict.notes.append("skipped: libfaketime is not installed (Debian: apt-get install libfaketime)")
        return
    traffic = Traffic(instance)
    people = instance.people(2)
    with ExitStack() as stack:
        start = partial(_host, instance, stack, library)
        right = start(0)
        for person, seconds in zip(people, (SECONDS, -SECONDS), strict=True):
            wrong = start(seconds)
            verdict.require(abs(_clock(wrong) - time.time() - seconds) < NEAR, "the clock was not off")
            traffic.send(add(person.id, 1000), right.service)
            _tokens(instance, person, (right, wrong), verdict)
            _holds(instance, traffic, person, (right, wrong), verdict)
            _order(traffic, person, (right, wrong), verdict)
            _worker(instance, seconds, library, verdict)
        reckon(verdict, traffic)
    verdict.notes.append(
        f"tokens, holds and {2 * TURNS} calls by turns, with clocks {SECONDS} s ahead and behind"
    )


def _fake(library: str, seconds: int) -> dict[str, Any]:
    """Return libfaketime's variables. The monotonic clock is off too: only libfaketime knows which one a timed sleep
    means.
    """
    return {
        "LD_PRELOAD": library,
        "FAKETIME": f"{seconds:+d}",
        "NO_FAKE_STAT": "1",  # gunicorn looks at a file to see whether a worker lives
    }


def _worker(instance: Instance, seconds: int, library: str, verdict: Verdict) -> None:
    """While the right worker is stopped, check that one with a wrong clock carries out what beat sends, and drops
    nothing.
    """
    standing = [instance.process("worker"), *instance.workers("worker")]
    environment = {**environment_of(instance), **_fake(library, seconds)}
    command = procfile.argv(procfile.read(ROOT / "Procfile")["worker"])
    for pid in standing:
        os.kill(pid, signal.SIGSTOP)
    try:
        with instance.log_path.with_name(f"worker{seconds:+d}.log").open("wb") as log:
            worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            begun = _tasks(instance)
            instance.await_(lambda: _tasks(instance) != begun, "the worker did nothing", within=90)
            before = _tasks(instance)
            time.sleep(WATCHED)
            made = _tasks(instance) - before
        finally:
            worker.terminate()
            worker.wait(30)
    finally:
        for pid in standing:
            os.kill(pid, signal.SIGCONT)
    verdict.require(
        made["success"] >= WATCHED / 5 and not made["ignored"], f"a worker {seconds:+d} s off: {dict(made)}"
    )
    verdict.notes.append(f"a worker {seconds:+d} s off, for {WATCHED} s: {dict(made)}")


def _tasks(instance: Instance) -> Counter[str]:
    """Count tasks by their outcome. Tasks that Celery discards are missing, so the rest must be all that beat sends."""
    with urllib.request.urlopen(
        f"http://127.0.0.1:{instance.ports['internal']}/metrics", timeout=5
    ) as answer:
        text = answer.read().decode()
    counts: Counter[str] = Counter()
    for state, number in COUNTED.findall(text):
        counts[state] += int(float(number))
    return counts


def _host(instance: Instance, stack: ExitStack, library: str, seconds: int) -> Host:
    fake = _fake(library, seconds) if seconds else {}
    listeners = [Listener(instance, name=name, **fake) for name in ("public", "internal")]
    for listener in listeners:
        stack.callback(listener.end)
    for listener in listeners:
        instance.await_(listener.live, "a listener did not start", within=90)
    return Host(listeners[0], listeners[1], instance.api_key)


def _clock(host: Host) -> float:
    """Return the time by the host's own process, from the Date header of its answers."""
    return parsedate_to_datetime(host.device.get("/livez").headers["date"]).timestamp()


def _tokens(instance: Instance, person: Person, hosts: Hosts, verdict: Verdict) -> None:
    """Check that tokens issued by either host are accepted by both at once, with the database's times in them."""
    for maker, other in (hosts, hosts[::-1]):
        made = _login(maker, person)
        verdict.count([made])
        told, now = _claims(made), float(instance.rows(NOW)[0][0])
        verdict.require(abs(told["iat"] - now) < NEAR, f"a token is from {told['iat'] - now:+.0f} s")
        for host in (other, maker):
            for path in ("/v1/auth/me", "/v1/auth/me/status"):
                seen = host.device.get(path, bearer(made))
                verdict.require(seen.done, f"{path} with a fresh token: {seen.status} {seen.code}")
        renewed = other.device.post("/v1/auth/refresh", {"refresh_token": made.body["refresh_token"]})
        verdict.require(renewed.done, f"a refresh was answered {renewed.status} {renewed.code}")
        verdict.require(
            renewed.done and abs(_claims(renewed)["iat"] - float(instance.rows(NOW)[0][0])) < NEAR,
            "the renewed token has a wrong time",
        )


def _login(host: Host, person: Person) -> Answer:
    return host.device.post("/v1/auth/login", {"email": person.email, "password": person.password})


def _claims(tokens: Answer) -> dict[str, Any]:
    payload = tokens.body["access_token"].split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def _holds(instance: Instance, traffic: Traffic, person: Person, hosts: Hosts, verdict: Verdict) -> None:
    """Check that each hold lives as long as it should, and does not end early for a host that is ahead."""
    for maker, other in (hosts, hosts[::-1]):
        body = {"user_id": person.id, "amount": 5, "expires_in": LIFETIME}
        placed = Operation(person.id, "/v1/credits/holds", body)
        answer = traffic.send(placed, maker.service)
        if not answer.done:
            verdict.failures.append(f"a hold was answered {answer.status} {answer.code}")
            continue
        left = instance.rows(EXPIRES, answer.body["id"])[0][0] - instance.rows(NOW)[0][0]
        verdict.require(abs(left - LIFETIME) < NEAR, f"a hold of {LIFETIME} s lives for {left:.0f} s")
        capture = Operation(person.id, f"/v1/credits/holds/{answer.body['id']}/capture", {"amount": 5})
        captured = traffic.send(capture, other.service)
        verdict.require(captured.done, f"a capture was answered {captured.status} {captured.code}")


def _order(traffic: Traffic, person: Person, hosts: Hosts, verdict: Verdict) -> None:
    """Call both hosts alternately, and check that the journal has the calls in the order in which they were made."""
    callers = [host.service for host in hosts]
    operations = [add(person.id, 1 + turn) for turn in range(TURNS)]
    for turn, operation in enumerate(operations):
        traffic.send(operation, callers[turn % 2])
    keys = [operation.key for operation in operations]
    rows = traffic.instance.rows(ORDER, person.id, keys)
    verdict.require([key for key, _ in rows] == keys, "the journal is not in the order of the calls")
