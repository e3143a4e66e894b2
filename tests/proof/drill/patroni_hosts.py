"""Three PostgreSQL hosts under Patroni, with etcd, and an HAProxy that leads to the primary, as in deploy/."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg

import dev_env
import network
import places
from free_ports import free_port
from instance import ROOT, Instance, directory
from network import CLIENTS, Host, Network
from postgres import DATABASE, OWNER, SERVING, SUPERUSER, Postgres
from processes import die_with_parent
from shipped import filled
from supervise import Account

PROGRAMS = {"patroni": "patroni", "patronictl": "patroni", "etcd": "etcd-server", "haproxy": "haproxy"}
PATRONI, ETCD, HAPROXY = "patroni/patroni.yml", "patroni/etcd.env", "haproxy/haproxy.cfg"
ROLES = ROOT / "deploy" / "postgres" / "roles.sh"
NAMES = ("one", "two", "three")
SECRETS = ("SUPERUSER_PASSWORD", "REPLICA_PASSWORD", "REWIND_PASSWORD", "CONTROL_PASSWORD")
PRIMARY, REPLICA = "bind 127.0.0.1:5000", "bind 127.0.0.1:5001"
PATIENCE = 120.0
READ_ONLY = "SELECT pg_is_in_recovery()"


def missing() -> str:
    """Return what has to be installed or allowed for it, or ""."""
    absent = sorted({package for program, package in PROGRAMS.items() if not places.program(program)})
    return f"not installed: apt install {' '.join(absent)}" if absent else network.missing()


class Member:
    """One of the three: a host, its etcd, its Patroni, and the PostgreSQL that Patroni starts."""

    def __init__(
        self, name: str, host: Host, place: Path, *, binaries: Path, account: Account | None
    ) -> None:
        self.name, self.host = name, host
        self._place, self._account = place, account
        self.sockets, self.configuration = place / "sockets", place / "config.yml"
        for path in (place, self.sockets):
            path.mkdir(mode=0o755)
            if account:
                os.chown(path, account.uid, account.gid)
        self._binaries = binaries
        self._etcd: dict[str, str] = {}

    def configure(self, hosts: Mapping[str, str], secret: Mapping[str, str]) -> None:
        own = {"NAME": self.name, "ADDRESS": self.host.address}
        self._etcd = dev_env.parse(
            filled(ETCD, {**own, **hosts, "/var/lib/etcd/auth": f"{self._place}/etcd"})
        )
        places = {
            "/var/lib/postgresql/auth": f"{self._place}/data",
            "/usr/lib/postgresql/17/bin": str(self._binaries),
            "/var/lib/postgresql/.pgpass-patroni": f"{self._place}/pgpass",
            "/var/run/postgresql": str(self.sockets),
            "NETWORK": f"{self.host.address.rpartition('.')[0]}.0/25",
        }
        self.configuration.write_text(filled(PATRONI, {**own, **hosts, **secret, **places}))

    def start(self) -> None:
        self._run("etcd", self._etcd)
        self._run("patroni", {}, str(self.configuration))

    def _run(self, program: str, environment: Mapping[str, str], *arguments: str) -> None:
        path = {"PATH": f"{self._binaries}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
        self.host.start(
            program,
            [places.program(program), *arguments],
            {**path, **environment},
            log=self._place / f"{program}.txt",
            directory=self._place,
            account=self._account,
        )

    def lose_power(self) -> None:
        """Lose power without notice: first cut the link, then kill every process."""
        self.host.cut(CLIENTS)
        self.host.kill()

    def come_back(self) -> None:
        self.host.mend(CLIENTS)
        self.start()

    def cut_off(self) -> None:
        self.host.cut(CLIENTS)

    def mend(self) -> None:
        self.host.mend(CLIENTS)

    def takes_writes(self, password: str) -> bool:
        """Return whether it accepts writes, asking on its own host, whatever the state of its link."""
        address = f"host={self.host.address} dbname=postgres user={SUPERUSER} password={password}"
        with (
            self.host.entered(),
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(address, connect_timeout=3) as connection,
        ):
            row = connection.execute(READ_ONLY).fetchone()
            return row is not None and not row[0]
        return False


class Cluster:
    """The three members and the HAProxy."""

    def __init__(self, place: Path, network: Network) -> None:
        postgres = Postgres(place)
        self.account = postgres.account
        self.words = {name: secrets.token_urlsafe(18) for name in (*SECRETS, OWNER, SERVING)}
        self.port, self.replica_port = free_port(), free_port()
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        self._binaries = postgres.programs
        self.members = {
            name: Member(
                name, network.host(name, CLIENTS), place / name, binaries=self._binaries, account=self.account
            )
            for name in NAMES
        }

    def start(self) -> None:
        """Start as docs/operations/machines.md says: one member first, the others once it leads, then roles and
        HAProxy.
        """
        hosts = {name.upper(): member.host.address for name, member in self.members.items()}
        for member in self.members.values():
            member.configure(hosts, {name: self.words[name] for name in SECRETS})
        for member in self.members.values():
            member.start()
        self.await_whole()
        self._make_roles()
        self._start_haproxy(hosts)

    def _make_roles(self) -> None:
        leader = self.members[self.leader()]
        environment = {
            "PATH": f"{self._binaries}:/usr/bin:/bin",
            "PGHOST": str(leader.sockets),
            "AUTH_OWNER_PASSWORD": self.words[OWNER],
            "AUTH_APP_PASSWORD": self.words[SERVING],
        }
        done = subprocess.run(
            ["sh", str(ROLES)],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            user=self.account.uid if self.account else None,
        )
        if done.returncode:
            raise SystemExit(f"The roles could not be made:\n{done.stderr}")

    def _start_haproxy(self, hosts: Mapping[str, str]) -> None:
        ports = {PRIMARY: f"bind 127.0.0.1:{self.port}", REPLICA: f"bind 127.0.0.1:{self.replica_port}"}
        file = self._place / "haproxy.cfg"
        file.write_text(filled(HAPROXY, {**hosts, **ports}))
        with (self._place / "haproxy.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [places.program("haproxy"), "-db", "-f", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user="haproxy",  # as the file has it: a change of user would end the tie to the drill
                group="haproxy",
                extra_groups=[],
                preexec_fn=die_with_parent(signal.SIGINT),
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
        for member in self.members.values():
            member.host.kill()

    def url(self, role: str, port: int = 0) -> str:
        return f"postgresql://{role}:{self.words[role]}@127.0.0.1:{port or self.port}/{DATABASE}"

    # What Patroni says

    def roles(self) -> dict[str, str]:
        """Return the role of each member that runs and follows the leader, according to any member that answers."""
        for member in self.members.values():
            with contextlib.suppress(OSError, ValueError):
                url = f"http://{member.host.address}:8008/cluster"
                with urllib.request.urlopen(url, timeout=2) as answer:
                    found = json.load(answer)["members"]
                    return {
                        one["name"]: one["role"] for one in found if one["state"] in {"running", "streaming"}
                    }
        return {}

    def leader(self) -> str:
        return next((name for name, role in self.roles().items() if role == "leader"), "")

    def synchronous(self) -> str:
        return next((name for name, role in self.roles().items() if role == "sync_standby"), "")

    def await_whole(self) -> float:
        """Wait for a leader, a synchronous standby and a replica; return how long that took."""
        return self._await(lambda: sorted(self.roles().values()) == ["leader", "replica", "sync_standby"])

    def await_another(self, than: str) -> float:
        return self._await(lambda: self.leader() not in {"", than})

    def _await(self, condition: Callable[[], bool]) -> float:
        began = time.monotonic()
        while not condition():
            if time.monotonic() > began + PATIENCE:
                raise TimeoutError(f"Patroni says {self.roles()} after {PATIENCE:.0f} s: {self._place}")
            time.sleep(0.2)
        return time.monotonic() - began

    def switch_over(self, leader: str, candidate: str) -> None:
        """Switch over with the command that the page names."""
        asked = ["switchover", "--leader", leader, "--candidate", candidate, "--force"]
        done = subprocess.run(
            [places.program("patronictl"), "-c", str(self.members[leader].configuration), *asked],
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"patronictl switchover:\n{done.stdout}{done.stderr}")


class UnderPatroni(Instance):
    """The service behind the HAProxy; the drill reads the database in the same way, as the tables' owner."""

    def database_url(self, role: str) -> str:
        return self._environment["DATABASE_MIGRATE_URL"]


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    with directory() as place, Network() as network:
        made = Cluster(place, network)
        try:
            made.start()
            yield made
        finally:
            made.stop()
