"""Debian's PgBouncer, configured as in deploy/pgbouncer, in front of its own PostgreSQL on loopback."""

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

from free_ports import free_port
from instance import ROOT, Instance, directory
from pgbouncer import configuration, program
from postgres import DATABASE, OWNER, SERVING
from processes import die_with_parent
from two_servers import Server, await_

ROLES = ROOT / "deploy" / "postgres" / "roles.sh"
SECRET = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"


class Pooler:
    """One PgBouncer, which can be killed and started again."""

    def __init__(self, place: Path, *, server: Server, password: str) -> None:
        self.port = free_port()
        self.url = f"postgresql://{SERVING}:{password}@127.0.0.1:{self.port}/{DATABASE}"
        self._account = server.cluster.account
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        place.mkdir(mode=0o755)
        self._configure(server)

    def _configure(self, server: Server) -> None:
        with server.connect() as connection:
            row = connection.execute(SECRET, [SERVING]).fetchone()
        users = self._place / "userlist.txt"
        users.write_text(f'"{SERVING}" "{row[0] if row else ""}"\n')
        ours = {
            "port=5432": f"port={server.port}",
            "listen_port = 6432": f"listen_port = {self.port}",
            "auth_file = /etc/pgbouncer/userlist.txt": f"auth_file = {users}",
        }
        (self._place / "pgbouncer.ini").write_text(configuration(ours))

    def start(self) -> None:
        account = self._account
        with (self._place / "pgbouncer.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program(), str(self._place / "pgbouncer.ini")],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=die_with_parent(signal.SIGINT),
            )
        await_(self._accepts, f"PgBouncer did not start: {self._place / 'pgbouncer.log'}")

    def _accepts(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=3):
            return True
        return False

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)


class BehindPooler(Instance):
    """The service behind it; the drill reads the database directly."""

    def database_url(self, role: str) -> str:
        return self._environment["DATABASE_MIGRATE_URL"].replace(f"//{OWNER}@", f"//{role}@")


@contextlib.contextmanager
def server_and_pooler() -> Iterator[tuple[Server, Pooler]]:
    with directory() as place:
        server, password = Server(place / "server"), secrets.token_urlsafe(18)
        server.cluster.prepare()
        pooler = None
        try:
            server.start()
            make_roles(server, password)
            pooler = Pooler(place / "pooler", server=server, password=password)
            pooler.start()
            yield server, pooler
        finally:
            if pooler is not None:
                pooler.kill()
            server.stop()


def make_roles(server: Server, password: str) -> None:
    done = subprocess.run(
        ["sh", str(ROLES)],
        env={
            "PATH": f"{server.cluster.programs}:{os.environ.get('PATH', os.defpath)}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "AUTH_OWNER_PASSWORD": secrets.token_urlsafe(18),
            "AUTH_APP_PASSWORD": password,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"The roles could not be made:\n{done.stderr}")


def owner_url(server: Server) -> str:
    return f"postgresql://{OWNER}@127.0.0.1:{server.port}/{DATABASE}"
