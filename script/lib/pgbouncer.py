"""The installed PgBouncer, configured as in deploy/pgbouncer, in front of a server of the tests or the drill."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import places
from places import private_directory, socket_directory
from postgres import OWNER, SERVING, SOCKET_LOCK, SUPERUSER, Postgres
from shipped import filled
from supervise import Child, Supervisor

PROGRAM = "pgbouncer"
MODE = "pool_mode = transaction"
PREPARES_FROM = (1, 22)


def missing() -> str:
    """Return what has to be installed for it, or ""."""
    return "" if program() else f"{PROGRAM} is not installed (apt install pgbouncer)"


def program() -> str:
    return places.program(PROGRAM)


def version() -> tuple[int, ...]:
    said = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(number) for number in re.findall(r"\d+", said)[:3])


def prepares() -> bool:
    return version() >= PREPARES_FROM


def configuration(lines: Mapping[str, str]) -> str:
    """Return the file of deploy/ with lines replaced, in a form that this version understands."""
    text = filled("pgbouncer/pgbouncer.ini", lines)
    return text if prepares() else re.sub(r"^max_prepared_statements = .*\n", "", text, flags=re.MULTILINE)


def pooled(
    supervisor: Supervisor, directory: Path, server: Postgres, *, forgetful: bool = False, **names: str
) -> dict[str, str]:
    """Start a pooler if DATABASE_POOL asks for one; return these variables, with its socket directory filled in."""
    if os.environ.get("DATABASE_POOL", "none") == "none":
        return {}
    pooler = PgBouncer(directory, server, forgetful=forgetful)
    pooler.prepare()
    supervisor.start(pooler.child())
    leading = {name: value.format(sockets=pooler.sockets) for name, value in names.items()}
    return {**leading, "DATABASE_PREPARED_STATEMENTS": str(prepares()).lower()}


class PgBouncer:
    """Runs in front of an embedded server, on a socket.

    A `forgetful` one discards session state after each transaction, which others may or may not keep.
    """

    def __init__(self, variable_directory: Path, server: Postgres, *, forgetful: bool = False) -> None:
        if why := missing():
            raise SystemExit(f"DATABASE_POOL: {why}")
        self._server, self._forgetful = server, forgetful
        self.home = private_directory(variable_directory / "pgbouncer", server.account)
        self.sockets = socket_directory(self.home, variable_directory, SOCKET_LOCK, server.account)

    def prepare(self) -> None:
        users = self.home / "userlist.txt"
        users.write_text("".join(f'"{role}" ""\n' for role in (SUPERUSER, OWNER, SERVING)))
        ours = {
            "auth = host=127.0.0.1 port=5432 dbname=auth": f"* = host={self._server.sockets} port=5432",
            "listen_addr = 127.0.0.1": "listen_addr =",
            "listen_port = 6432": "listen_port = 5432",
            "unix_socket_dir =": f"unix_socket_dir = {self.sockets}",
            MODE: f"{MODE}\nserver_reset_query_always = {int(self._forgetful)}",
            "auth_type = scram-sha-256": "auth_type = trust",
            "auth_file = /etc/pgbouncer/userlist.txt": f"auth_file = {users}",
        }
        (self.home / "pgbouncer.ini").write_text(configuration(ours))

    def child(self) -> Child:
        return Child(
            name=PROGRAM,
            argv=[program(), "--quiet", str(self.home / "pgbouncer.ini")],
            directory=Path("/"),
            account=self._server.account,
            stop_signal=signal.SIGTERM,
            ready=self.accepts,
        )

    def accepts(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(self.sockets / SOCKET_LOCK.removesuffix(".lock")))
        except OSError:
            return False
        return True
