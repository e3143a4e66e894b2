"""Hosts on this machine: Linux network namespaces, on a network for clients and one for the stores (ip-netns(8)).

All hosts share the machine's files, clock and processors; they communicate over a network, which can be cut.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from processes import die_with_parent, kill_group, started_at
from supervise import Account

NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000  # setns(2)
CLIENTS, STORES = "c", "s"  # the two networks
PREFIX = "198.18"  # for tests of networks, so that nobody's own network is in the way (RFC 2544)
GRACE = 30.0


def missing() -> str:
    """Return why such hosts are not possible here, or ""."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and ip(8) (Debian: apt-get install iproute2)"
    tried = subprocess.run(["ip", "netns", "add", named("try")], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"network namespaces are not to be had here: {tried.stderr.strip()}"
    ip("netns", "delete", named("try"))
    return ""


class Host:
    """A namespace connected to one or both networks, and the processes that were started in it."""

    def __init__(self, name: str, number: int, networks: str) -> None:
        self.name, self._number = name, number
        self.namespace = named(name)
        self.address = _address(CLIENTS if CLIENTS in networks else STORES, number)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        ip("netns", "add", self.namespace)
        self._inside("link", "set", "lo", "up")
        for network in networks:
            self._join(network)

    def _join(self, network: str) -> None:
        peer = ["peer", "name", _leg(network), "netns", self.namespace]
        ip("link", "add", self._switch_side(network), "type", "veth", *peer)
        ip("link", "set", self._switch_side(network), "master", bridge(network), "up")
        self._inside("address", "add", f"{_address(network, self._number)}/25", "dev", _leg(network))
        self._inside("link", "set", _leg(network), "up")

    def _inside(self, *arguments: str) -> None:
        ip("-netns", self.namespace, *arguments)

    def _switch_side(self, network: str) -> str:
        return f"{bridge(network)}{self._number}"

    def cut(self, network: str) -> None:
        """Take the switch's port down: packets vanish without notice."""
        ip("link", "set", self._switch_side(network), "down")

    def mend(self, network: str) -> None:
        ip("link", "set", self._switch_side(network), "up")

    def start(
        self,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        log: Path,
        directory: Path,
        account: Account | None = None,
    ) -> None:
        with log.open("ab") as written, self.entered():
            self.processes[name] = subprocess.Popen(
                argv,
                env=environment,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=die_with_parent(signal.SIGINT),
            )

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Enter that host with this thread and whatever it starts, which needs root."""
        with Path("/proc/thread-self/ns/net").open("rb") as home:
            with (NAMESPACES / self.namespace).open("rb") as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def kill(self) -> None:
        """Kill every process at once, as if the machine lost power; but the kernel still closes their connections."""
        for process in self.processes.values():
            kill_group(process.pid)
        for pid in self._left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait(GRACE)
        self.processes.clear()

    def _left(self) -> list[int]:
        """Return what else runs there: Patroni starts PostgreSQL in its own process group."""
        listed = subprocess.run(
            ["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=True
        )
        return [int(pid) for pid in listed.stdout.split() if int(pid) != os.getpid()]

    def stop(self) -> None:
        """Send SIGINT, since PostgreSQL would otherwise wait for its clients."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + GRACE
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        self.kill()


class Network:
    """Two switches, and the hosts plugged into them; the drill itself is connected to the network of clients."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self.own_address = _address(CLIENTS, 126)

    def __enter__(self) -> Self:
        remove_leftovers()
        for network in (CLIENTS, STORES):
            ip("link", "add", bridge(network), "type", "bridge")
            ip("link", "set", bridge(network), "up")
        ip("address", "add", f"{self.own_address}/25", "dev", bridge(CLIENTS))
        return self

    def host(self, name: str, networks: str) -> Host:
        made = Host(name, len(self.hosts) + 1, networks)
        self.hosts.append(made)
        return made

    def __exit__(self, *_: object) -> None:
        """Stop the hosts in reverse order: the stores are the first. Removing a namespace removes its links."""
        for host in reversed(self.hosts):
            host.stop()
        remove(os.getpid())


def remove_leftovers() -> None:
    """Remove what a killed drill left behind; its processes ended with it."""
    names = [path.name for path in NAMESPACES.glob("drill-*-*")]
    pids = {int(name.split("-")[1]) for name in names if name.split("-")[1].isdigit()}
    for pid in pids:
        if pid == os.getpid() or started_at(pid) is None:
            remove(pid)


def remove(pid: int) -> None:
    for path in NAMESPACES.glob(f"drill-{pid}-*"):
        ip("netns", "delete", path.name)
    for path in Path("/sys/class/net").iterdir():
        if re.fullmatch(rf"dr{pid}[a-z]", path.name):
            ip("link", "delete", path.name)


def named(host: str) -> str:
    return f"drill-{os.getpid()}-{host}"


def bridge(network: str) -> str:
    """Return the bridge's name, at most 15 characters including a host's number; a network is one letter."""
    return f"dr{os.getpid()}{network}"


def _leg(network: str) -> str:
    return {CLIENTS: "clients", STORES: "stores"}[network]


def _address(network: str, number: int) -> str:
    """Return an address whose third part depends on the process, so that two drills rarely collide."""
    return f"{PREFIX}.{os.getpid() % 256}.{number + (0 if network == CLIENTS else 128)}"


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
