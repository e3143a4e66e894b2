"""The service on four hosts: the stores, two that serve, and one for mails and scheduled tasks."""

import os
import secrets
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psycopg

import dev_env
import procfile
from accounts.service_keys.form import generate
from calls import Caller
from deploy.new_environment import new_environment
from instance import ROOT, SERVICE, Instance, clean_environment
from network import CLIENTS, STORES, Host, Network
from postgres import DATABASE, OWNER, SERVING, SUPERUSER, Postgres
from processes import die_with_parent
from traffic import Traffic
from valkey import program

DATABASE_PORT, QUEUE_PORT = 5432, 6379
PORTS = {"web": 8000, "internal": 8001}
JOBS = ("worker", "beat")
PASSWORDS_ONLY = "host all {roles} {network} scram-sha-256\n"


class Fleet(Instance):
    """Runs the Procfile's processes, with one environment for all; only the address to bind differs by host."""

    def __init__(self, place: Path, network: Network, *, mail_port: int) -> None:
        super().__init__(place, mail_port=mail_port)
        self._network = network
        self.data = network.host("data", STORES)
        self.apps = [network.host(name, CLIENTS + STORES) for name in ("app1", "app2")]
        self.jobs = network.host("jobs", CLIENTS + STORES)
        self.postgres = Postgres(self.directory)
        self._words = {role: secrets.token_urlsafe(18) for role in (OWNER, SERVING, "queue")}
        self._key = generate("live").text
        self.environment = self._common_environment()

    def _common_environment(self) -> dict[str, str]:
        """Return the environment that deploy.md creates, with the lines that it marks with CHANGE filled in."""
        made = dev_env.parse(new_environment("auth.drill.example"))
        return {
            **clean_environment(),
            **made,
            "DATABASE_URL": self._store_url(SERVING),
            "DATABASE_MIGRATE_URL": self._store_url(OWNER),
            "REDIS_URL": f"redis://:{self._words['queue']}@{self.data.address}:{QUEUE_PORT}/0",
            "EMAIL_URL": f"smtp://{self._network.own_address}:{self._mail_port}",
            **dict.fromkeys(
                ("ALLOWED_HOSTS", "INTERNAL_ALLOWED_HOSTS", "ADMIN_ALLOWED_HOSTS"),
                ",".join(host.address for host in self.apps),
            ),
            "INTERNAL_API_KEYS": f"{SERVICE}={self._key}:*",
            "BEHIND_BUFFERING_PROXY": "true",  # nobody in these networks is slow
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        }

    def _store_url(self, role: str) -> str:
        return f"postgresql://{role}:{self._words[role]}@{self.data.address}:{DATABASE_PORT}/{DATABASE}"

    def database_url(self, role: str) -> str:
        """Return the URL for the drill's own access to the database, by its socket rather than over the network."""
        return self.postgres.url(role)

    @property
    def api_key(self) -> str:
        return self._key

    # Life: the network ends what runs

    def start(self) -> None:
        self._start_stores()
        status, said = self.manage("migrate", "--no-input")
        if status:
            raise SystemExit(f"The migrations failed:\n{said[-2000:]}")
        for host in self.apps:
            self.serve(host)
        for name in JOBS:
            self._run(self.jobs, name)
        for host in self.apps:
            self.await_ready(host)

    def serve(self, host: Host) -> None:
        for name in PORTS:
            self._run(host, name, BIND=host.address, INTERNAL_BIND=host.address)

    def await_ready(self, host: Host) -> float:
        """Wait for the host. Other hosts reach its internal listener only because INTERNAL_BIND opens it."""
        return self.await_(
            lambda: all(self.replies(host, name, "/readyz") for name in PORTS),
            f"{host.name} is not ready: {self.log(host.name)}",
            within=90,
        )

    def _run(self, host: Host, name: str, **more: str) -> None:
        directory = self.directory / host.name
        directory.mkdir(exist_ok=True)
        command = procfile.argv(procfile.read(ROOT / "Procfile")[name])
        environment = {**self.environment, "VAR_DIR": str(directory), **more}
        host.start(name, command, environment, log=self.log(host.name), directory=ROOT)

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _start_stores(self) -> None:
        self.postgres.prepare()
        self._admit_by_password()
        child, log = self.postgres.child(), self.log("data")
        listening = ["-c", f"listen_addresses={self.data.address}"]
        environment = {**clean_environment(), **child.environment}
        self.data.start(
            "postgres",
            [*child.argv, *listening],
            environment,
            log=log,
            directory=Path("/"),
            account=child.account,
        )
        configuration = self.directory / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f"bind {self.data.address}\nport {QUEUE_PORT}\nrequirepass {self._words['queue']}\n"
            f'save ""\nappendonly no\nmaxmemory-policy noeviction\ndir {self.directory}\n'
        )
        self.data.start(
            "valkey",
            [str(program()), str(configuration)],
            clean_environment(),
            log=log,
            directory=self.directory,
        )
        self.await_(self.postgres.accepts_connections, f"PostgreSQL did not start: {log}", within=60)
        self._make_roles()

    def _admit_by_password(self) -> None:
        """Admit the two roles from the stores' network with a password, and others only by the socket."""
        network = f"{self.data.address.rpartition('.')[0]}.128/25"
        line = PASSWORDS_ONLY.format(roles=f"{OWNER},{SERVING}", network=network)
        (self.postgres.data / "pg_hba.conf").write_text(f"local all all trust\n{line}")

    def _make_roles(self) -> None:
        with psycopg.connect(self.postgres.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            for role in (OWNER, SERVING):
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{self._words[role]}'")
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")

    # Talking to one of its hosts

    def replies(self, host: Host, listener: str, path: str) -> bool:
        try:
            url = f"http://{host.address}:{PORTS[listener]}{path}"
            with urllib.request.urlopen(url, timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def device(self, host: Host, *, address: str = "") -> Caller:
        """Return a user's device, behind the proxy that terminates TLS."""
        headers = {"X-Forwarded-Proto": "https"}
        return Caller(PORTS["web"], headers, address=address, host=host.address)

    def service(self, host: Host, *, key: str = "") -> Caller:
        return Caller(PORTS["internal"], {"X-API-Key": key or self._key}, host=host.address)

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start manage.py on the host for jobs."""
        directory = self.directory / self.jobs.name
        directory.mkdir(exist_ok=True)
        with self.jobs.entered():
            return subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), *arguments],
                env={**self.environment, "VAR_DIR": str(directory), **environment},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )


class ToHost(Traffic):
    def __init__(self, fleet: Fleet, host: Host) -> None:
        super().__init__(fleet)
        self._fleet, self._host = fleet, host

    def caller(self) -> Caller:
        return self._fleet.service(self._host)
