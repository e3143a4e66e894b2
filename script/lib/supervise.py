"""Starts an ordered set of processes, restarts those that end, and stops all of them together. Standard library, one
thread.

Every child leads its own session, so a Ctrl-C reaches only the supervisor, which then ends them in order.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import leftovers
from console import Console
from processes import die_with_parent, kill_group, send, started_at
from relay import Output, Relay

HEALTHY_SECONDS = 5.0  # a child that lived this long is restarted at once when it ends
ATTENDED_GRACE_SECONDS = 10.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


class Stopped(Exception):
    """Raised when someone asked to stop, or a start failed: leave, and shut down."""


@dataclass(frozen=True)
class Account:
    """The system user that a child runs as."""

    uid: int
    gid: int


@dataclass(eq=False)
class Child:
    """One process to keep running."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of the supervisor's own
    directory: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0  # seconds from the stop signal to SIGKILL
    store: bool = False  # keeps data: started first, stopped last, never hurried
    ready: Callable[[], bool] | None = None
    ready_within: float = 60.0

    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    since: float = field(default=0.0, init=False)
    quick_ends: int = field(default=0, init=False)
    restart_at: float | None = field(default=None, init=False)
    output: Output | None = field(default=None, init=False)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def is_ready(self) -> bool:
        return self.ready is None or self.ready()


class Supervisor:
    """Owns the children. `state` is the file that lists them for the next start, in case this one is killed."""

    def __init__(self, *, state: Path, console: Console) -> None:
        self.children: list[Child] = []
        self.exit_status = 0
        self._state = state
        self._console = console
        self._relay = Relay(console)
        self._stop_requests = self._announced = 0
        self._obey_signals()

    # Starting

    def end_leftovers(self, *, patience: float = leftovers.PATIENCE) -> None:
        """End what an earlier supervisor left running when it was killed."""
        found = leftovers.recall(self._state)
        for process in found:
            self.say(f"{process.name} (pid {process.pid}) is left over from an earlier run; ending it")
        leftovers.end(found, patience=patience)
        leftovers.forget(self._state)

    def start(self, *children: Child) -> None:
        """Start the children side by side, and return when all are ready.

        Raise Stopped if one does not become ready.
        """
        for child in children:
            self._spawn(child)
        for child in children:
            self._await_ready(child)

    def run(self, child: Child) -> list[str]:
        """Run one step until it ends and return its last lines. Raise Stopped if it fails."""
        self._spawn(child)
        while child.running():
            self._heed_stop_request()
            self._pump(0.5)
        self._drain(child)
        self.children.remove(child)
        if child.process and child.process.returncode:
            self._fail(
                f"{child.name} failed ({describe_end(child.process.returncode)}); its last lines above say why"
            )
        return list(child.output.recent) if child.output else []

    def _spawn(self, child: Child) -> None:
        child.process = subprocess.Popen(
            child.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **child.environment},
            cwd=child.directory,
            start_new_session=True,
            preexec_fn=die_with_parent(child.stop_signal),
            user=child.account.uid if child.account else None,
            group=child.account.gid if child.account else None,
            extra_groups=[] if child.account else None,
        )
        child.since, child.restart_at = time.monotonic(), None
        if child not in self.children:
            self.children.append(child)
        child.output = self._relay.follow(child.name, child.process)
        self._remember()

    def _await_ready(self, child: Child) -> None:
        deadline = time.monotonic() + child.ready_within
        while not child.is_ready():
            self._heed_stop_request()
            self._pump(0.02)
            if not child.running():
                self._drain(child)
                self._fail(f"{child.name} ended before it was ready; its last lines above say why")
            if time.monotonic() > deadline:
                self._fail(f"{child.name} was not ready after {child.ready_within:.0f} s")

    def _remember(self) -> None:
        running = [
            leftovers.Started(child.name, child.process.pid, since, child.stop_signal)
            for child in self.children
            if child.process and (since := started_at(child.process.pid))
        ]
        leftovers.remember(self._state, running)

    def _fail(self, reason: str) -> None:
        self.say(reason)
        self.exit_status = 1
        raise Stopped

    def attend(self, step: subprocess.Popen[bytes]) -> int:
        """Keep the children's output flowing while a foreground program runs; return its exit status.

        A stop request is passed on to it, and it gets some time to finish.
        """
        while step.poll() is None and not self._stop_requests:
            self._pump(0.5)
        if self._stop_requests:
            step.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                step.wait(ATTENDED_GRACE_SECONDS)
            step.kill()
            raise Stopped
        return step.wait()

    # Watching

    def watch(self) -> None:
        """Keep the children running until someone asks to stop, then raise Stopped."""
        while True:
            self._heed_stop_request()
            self._pump(self._seconds_to_next_restart())
            for child in self.children:
                self._look_after(child)

    def _look_after(self, child: Child) -> None:
        if child.running():
            return
        if child.restart_at is None:
            self._plan_restart(child)
        elif time.monotonic() >= child.restart_at:
            self._spawn(child)

    def _plan_restart(self, child: Child) -> None:
        """Schedule a restart: at once after a healthy life, otherwise after a pause that doubles up to 5 s. It never
        gives up.
        """
        assert child.process  # noqa: S101  (it has been spawned)
        kill_group(child.process.pid)  # its own children would keep its port
        lived = time.monotonic() - child.since
        child.quick_ends = child.quick_ends + 1 if lived < HEALTHY_SECONDS else 0
        pause = min(SHORTEST_PAUSE * 2**child.quick_ends, LONGEST_PAUSE)
        child.restart_at = time.monotonic() + pause
        ending = describe_end(child.process.returncode)
        self.say(f"{child.name} ended ({ending}); starting it again in {pause:.1f} s")

    def _seconds_to_next_restart(self) -> float:
        due = [child.restart_at for child in self.children if child.restart_at is not None]
        return max(0.0, min(due, default=time.monotonic() + 1.0) - time.monotonic())

    # Stopping

    def shutdown(self) -> None:
        """End everything that depends on the stores, then the stores.

        A second signal kills the former at once. The stores always get their time, so that no data is at risk.
        """
        self._end([child for child in self.children if not child.store])
        self._end([child for child in self.children if child.store])
        leftovers.forget(self._state)
        if self.children:
            self.say("all stopped")
        self._console.flush(within=1.0)

    def stop_requested(self) -> bool:
        return self._stop_requests > 0

    def _end(self, children: list[Child]) -> None:
        running = [child for child in children if child.running()]
        for child in running:
            if child.process:
                send(child.process.pid, child.stop_signal)
        asked_at = time.monotonic()
        while waiting := [child for child in running if child.running()]:
            self._pump(0.05)
            for child in waiting:
                self._lose_patience(child, waited=time.monotonic() - asked_at)
        for child in children:
            if child.process:
                kill_group(child.process.pid)
                self._drain(child)

    def _lose_patience(self, child: Child, *, waited: float) -> None:
        hurried = self._stop_requests > 1 and not child.store
        if child.process and (hurried or waited > child.grace):
            self.say(f"{child.name} did not stop after {waited:.1f} s; killing it")
            kill_group(child.process.pid)
            child.process.wait()

    # Signals and output

    def say(self, text: str) -> None:
        self._console.say("supervisor", text)

    def _obey_signals(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)  # ignored by default, and would then wake nobody
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays in force
                signal.signal(number, self._request_stop)

    def _request_stop(self, _number: int, _frame: object) -> None:
        self._stop_requests += 1  # and nothing else: it can interrupt anything

    def _heed_stop_request(self) -> None:
        if self._stop_requests:
            raise Stopped

    def _pump(self, timeout: float) -> None:
        self._relay.wait(timeout)
        if self._stop_requests > self._announced:
            self.say("stopping" if self._announced == 0 else "stopping without waiting for open requests")
            self._announced = self._stop_requests

    def _drain(self, child: Child) -> None:
        if child.output:
            self._relay.drain(child.output)


def describe_end(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
