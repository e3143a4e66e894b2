"""F16: listeners are restarted on purpose, under load."""

import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import dev_env
from calls import Caller
from free_ports import free_port
from instance import ROOT, Instance, clean_environment
from mail_sink import MailSink
from postgres import DATABASE, Postgres
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, use
from valkey import Valkey

GRACE = 30.0


def environment_of(instance: Instance, *, database: str = DATABASE) -> dict[str, str]:
    """Return the environment of a process that the drill starts beside those of the instance."""
    return {
        **clean_environment(),
        **dev_env.load(instance.directory / "dev.env"),
        "DJANGO_SETTINGS_MODULE": "config.settings.dev",
        "VAR_DIR": str(instance.directory),
        "DATABASE_URL": Postgres(instance.directory).url(database=database),
        "REDIS_URL": Valkey(instance.directory).url,
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONFAULTHANDLER": "1",
    }


class Listener:
    """A listener as in the Procfile, but started by the drill: a supervisor would interfere with USR2."""

    def __init__(
        self,
        instance: Instance,
        *,
        name: str = "internal",
        database: str = DATABASE,
        server: str = "gunicorn",
        port: int = 0,
        **more: str,
    ) -> None:
        self.port = port or free_port()
        self.pidfile = instance.directory / f"drill-{name}-{self.port}.pid"
        environment = {
            **environment_of(instance, database=database),
            "LISTENER": name,
            "GUNICORN_CMD_ARGS": f"--pid {self.pidfile}",
            **more,
        }
        with instance.log_path.with_name(f"{name}.log").open("ab" if port else "wb") as log:
            self.first = subprocess.Popen(
                ["sh", "deploy/listen", server, "127.0.0.1", str(self.port)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def live(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/livez", timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def pid(self, suffix: str = "") -> int | None:
        try:
            return int(Path(f"{self.pidfile}{suffix}").read_text())
        except (OSError, ValueError):
            return None

    def children(self) -> set[int]:
        pid = self.first.pid
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def end(self) -> None:
        for pid in {self.first.pid, self.pid(), self.pid(".2")} - {None}:
            try:
                os.kill(pid or 0, signal.SIGTERM)
            except ProcessLookupError:
                pass
        try:
            self.first.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.first.kill()


class ToListener(Traffic):
    def __init__(self, instance: Instance, listener: Listener, *, key: str = "") -> None:
        super().__init__(instance)
        self._port, self._key = listener.port, key or instance.api_key

    def caller(self) -> Caller:
        return Caller(self._port, {"X-API-Key": self._key})


def rolling(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Replace the workers with HUP, and the master with USR2 and TERM, under 50 requests/s: no call fails.

    Then send SIGTERM alone: open requests are answered, and it exits within 30 s.
    """
    listener = Listener(instance)

    def restarts(traffic: Traffic) -> None:
        _count_failures(traffic, verdict, "HUP", lambda: _hup(listener))
        _count_failures(traffic, verdict, "USR2 and TERM", lambda: _replace(instance, listener))

    _restarted(instance, verdict, listener, restarts)


def rolling_granian(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Do the same with granian: HUP, then a second one on the same port, which stays when the first gets TERM."""
    listener = Listener(instance, server="granian")
    second: list[Listener] = []

    def restarts(traffic: Traffic) -> None:
        _count_failures(traffic, verdict, "HUP", lambda: _hup_granian(instance, listener))
        _count_failures(
            traffic, verdict, "another and TERM", lambda: second.append(_succeed(instance, listener))
        )

    try:
        _restarted(instance, verdict, listener, restarts)
    finally:
        for one in second:
            one.end()


def _restarted(
    instance: Instance, verdict: Verdict, listener: Listener, restarts: Callable[[Traffic], None]
) -> None:
    try:
        instance.await_(listener.live, "the listener did not start", within=60)
        traffic = ToListener(instance, listener)
        people = instance.people(10)
        traffic.give(people, 10_000)

        def spend() -> Operation:
            return use(random.choice(people).id)

        with traffic.running(spend, clients=8, per_second=50):
            time.sleep(2)
            restarts(traffic)
        with traffic.running(spend, clients=8, per_second=50):
            time.sleep(1)
            _terminate(instance, listener, verdict)
        verdict.notes.append(traffic.statuses())
    finally:
        listener.end()
    settled = Traffic(instance)  # the listener is gone: the other one answers for the rest
    settled.operations = traffic.operations
    reckon(verdict, settled)


def _count_failures(traffic: Traffic, verdict: Verdict, name: str, restart: Callable[[], object]) -> None:
    """Count requests started from the signal until some seconds later: none may fail."""
    begun = time.monotonic()
    restart()
    time.sleep(6)
    ended = time.monotonic()
    answers = [a for o in list(traffic.operations) for a in o.answers if begun - 1 <= a.started < ended]
    failed = [a.error or str(a.status) for a in answers if not a.done]
    slowest = max(a.seconds for a in answers)
    verdict.notes.append(
        f"{name}: {len(failed)} of {len(answers)} failed {failed[:5]}, the slowest took {slowest:.2f} s"
    )
    verdict.require(not failed, f"{name}: {len(failed)} of {len(answers)} requests failed")


def _hup(listener: Listener) -> None:
    """Send HUP three times, a few seconds apart."""
    for _ in range(3):
        os.kill(listener.first.pid, signal.SIGHUP)
        time.sleep(3)


def _hup_granian(instance: Instance, listener: Listener) -> None:
    """Send HUP once: the workers are replaced one after another, which takes a while."""
    before = listener.children()
    os.kill(listener.first.pid, signal.SIGHUP)
    instance.await_(lambda: not before & listener.children(), "the workers were not replaced", within=120)


def _succeed(instance: Instance, first: Listener) -> Listener:
    """Start another granian on the first one's port, and end the first once both serve."""
    second = Listener(instance, name="internal", server="granian", port=first.port)
    instance.await_(lambda: _sockets(first.port) == 4, "the second did not come", within=60)
    os.kill(first.first.pid, signal.SIGTERM)
    instance.await_(lambda: first.first.poll() is not None, "the first did not go", within=GRACE)
    first.first = second.first  # the one that is there from now on
    return second


def _sockets(port: int) -> int:
    """Count the listening sockets on the port: one for each of granian's workers."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def _replace(instance: Instance, listener: Listener) -> None:
    """Start a second master beside the first, on the same socket; once it serves, end the first."""
    old = listener.pid()
    os.kill(old or 0, signal.SIGUSR2)
    instance.await_(lambda: listener.pid(".2") is not None, "there is no second master", within=30)
    new = listener.pid(".2") or 0
    children = Path(f"/proc/{new}/task/{new}/children")
    instance.await_(lambda: len(children.read_text().split()) >= 2, "the new workers did not come", within=60)
    time.sleep(1)
    os.kill(old or 0, signal.SIGTERM)
    instance.await_(lambda: listener.first.poll() is not None, "the old master did not go", within=GRACE)


def _terminate(instance: Instance, listener: Listener, verdict: Verdict) -> None:
    """Terminate it: an answer under way still arrives; later calls are refused a connection, and unknown until
    repeated.
    """
    pid = listener.pid() or listener.first.pid
    os.kill(pid, signal.SIGTERM)
    took = instance.await_(lambda: _is_gone(listener, pid), "it did not exit", within=GRACE)
    verdict.notes.append(f"TERM: gone after {took:.1f} s")


def _is_gone(listener: Listener, pid: int) -> bool:
    return (
        listener.first.poll() is not None if pid == listener.first.pid else not Path(f"/proc/{pid}").exists()
    )
