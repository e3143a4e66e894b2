"""The servers that are measured, each on a port of its own on loopback, its output in a file."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crashes import FAULT_HANDLER, crashes
from processes import die_with_parent

TICKS = os.sysconf("SC_CLK_TCK")
DIRECTORY = Path(os.environ["VAR_DIR"])
RIVALS = Path(__file__).parent / "rivals"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
RIVALS_ENVIRONMENT = DIRECTORY / "rivals"


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    url: str
    master: int  # its process; the workers are its children
    log: Path

    def processor_seconds(self) -> float:
        """Of all its workers since they began."""
        listed = Path(f"/proc/{self.master}/task/{self.master}/children").read_text()
        return sum(_processor_seconds(int(child)) for child in listed.split())


def ours(database: str, *, listener: str = "internal") -> contextlib.AbstractContextManager[Server]:
    """A listener as the Procfile has it (two workers of four threads; INTERNAL_WEB_SERVER holds), on that database."""
    server = os.environ.get("INTERNAL_WEB_SERVER") or "gunicorn"
    environment = {
        "LISTENER": listener,
        "RATE_LIMITS_FACTOR": "1",
        "DATABASE_URL": database,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GUNICORN_CMD_ARGS": "--max-requests 0",
    }
    name = f"{listener}-{database.partition('?')[0].rpartition('/')[2]}"
    return _server(name, ["sh", "deploy/listen", server, "127.0.0.1", "{port}"], environment, ready="/readyz")


def fastapi(database: str) -> contextlib.AbstractContextManager[Server]:
    command = [str(rival_python()), "-m", "uvicorn", "fastapi_orm:app", "--app-dir", str(RIVALS)]
    return _server("fastapi", [*command, "--workers", "2", "--port", "{port}"], {"DATABASE_URL": database})


def drf(database: str) -> contextlib.AbstractContextManager[Server]:
    command = [str(rival_python()), "-m", "gunicorn", "drf_orm:application", "--chdir", str(RIVALS)]
    sizes = ["--workers", "2", "--worker-class", "gthread", "--threads", "4", "--bind", "127.0.0.1:{port}"]
    return _server("drf", [*command, *sizes], {"DATABASE_URL": database})


def rival_python() -> Path:
    return RIVALS_ENVIRONMENT / "bin" / "python"


def install_rivals() -> None:
    """A virtual environment of their own, so that nothing of theirs is beside the service."""
    record = RIVALS_ENVIRONMENT / "installed.txt"
    if record.exists() and record.read_bytes() == REQUIREMENTS.read_bytes():
        return
    print("Installing what the rivals need (once) ...", flush=True)
    venv.create(RIVALS_ENVIRONMENT, clear=True, with_pip=True)
    pip: list[str | Path] = [rival_python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--requirement", REQUIREMENTS], check=True)
    record.write_bytes(REQUIREMENTS.read_bytes())


@contextlib.contextmanager
def _server(
    name: str, command: Sequence[str], environment: Mapping[str, str], *, ready: str = "/ready"
) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
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
    """Any answer will do: a rival knows no such path."""
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"The server did not start; {log} says why.")


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
