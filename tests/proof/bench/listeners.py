"""The servers that are measured, each on its own loopback port, with its output in a file."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import rival_installs
from processor import seconds_of
from rival_installs import RIVALS

from crashes import FAULT_HANDLER, crashes
from free_ports import free_port
from processes import die_with_parent

DIRECTORY = Path(os.environ["VAR_DIR"])
SERVERS = ("granian", "gunicorn")  # which the Procfile can serve a listener by
START = 180  # seconds that a server gets to start: a loaded machine takes a minute
RAISED = "100000"  # for the factor of limits: a load comes from one address


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    url: str
    master: int  # its process, which started all others
    log: Path

    def processor_seconds(self) -> float:
        """Return the processor time that all its processes have used since they started."""
        return seconds_of(self.master)


def ours(
    database: str,
    *,
    server: str = "gunicorn",
    listener: str = "internal",
    threads: int = 4,
    factor: str = "1",
) -> contextlib.AbstractContextManager[Server]:
    """Serve a listener as the Procfile does, on that database: two workers, with four threads unless stated
    otherwise.
    """
    address, _, way = database.partition("?")
    environment = {
        "LISTENER": listener,
        "RATE_LIMITS_FACTOR": factor,
        "DATABASE_URL": f"{address}?{os.environ.get('BENCH_POOLER', way)}",
        "WEB_CONCURRENCY": "2",
        "WEB_THREADS": str(threads),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GUNICORN_CMD_ARGS": "--max-requests 0",
    }
    name = f"{listener}-{server}-{threads}-{address.rpartition('/')[2]}"
    return _server(name, ["sh", "deploy/listen", server, "127.0.0.1", "{port}"], environment, ready="/readyz")


def fastapi(database: str) -> contextlib.AbstractContextManager[Server]:
    command = [str(rival_installs.python()), "-m", "uvicorn", "fastapi_orm:app", "--app-dir", str(RIVALS)]
    return _server("fastapi", [*command, "--workers", "2", "--port", "{port}"], {"DATABASE_URL": database})


def drf(database: str) -> contextlib.AbstractContextManager[Server]:
    command = [str(rival_installs.python()), "-m", "gunicorn", "drf_orm:application", "--chdir", str(RIVALS)]
    sizes = ["--workers", "2", "--worker-class", "gthread", "--threads", "4", "--bind", "127.0.0.1:{port}"]
    return _server("drf", [*command, *sizes], {"DATABASE_URL": database})


def better_auth(database: str, *, cookie_cache: bool) -> contextlib.AbstractContextManager[Server]:
    environment = {
        "DATABASE_URL": database,
        "COOKIE_CACHE": str(int(cookie_cache)),
        "NODE_ENV": "production",
    }
    name = f"better-auth-{'cached' if cookie_cache else 'plain'}"
    return _server(name, [*rival_installs.better_auth(), "{port}"], environment, ready="/api/auth/ok")


@contextlib.contextmanager
def _server(
    name: str, command: Sequence[str], environment: Mapping[str, str], *, ready: str = "/ready"
) -> Iterator[Server]:
    port = free_port()
    log = DIRECTORY / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [part.format(port=port) for part in command],
            env={**os.environ, **FAULT_HANDLER, **environment},
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    try:
        server = Server(name, f"http://127.0.0.1:{port}", process.pid, log)
        _await(server.url + ready, log)
        yield server
    finally:
        process.terminate()
        process.wait(30)
    if died := crashes([log]):
        raise SystemExit(f"{name}: a process died, so its figures say nothing: {died}")


def _await(url: str, log: Path) -> None:
    """Wait for any answer: a rival does not have this path."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"The server did not start; {log} says why.")
