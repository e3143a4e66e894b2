"""A process that dies of a signal is found in the logs, whatever started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crashes import FAULT_HANDLER, crashes
from tests.waiting import eventually

APPLICATION = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""
SERVERS = {
    "gunicorn": ["-m", "gunicorn", "small:application", "--bind", "127.0.0.1:0", "--no-control-socket"],
    "granian": [
        "-m",
        "granian",
        "small:application",
        "--interface",
        "wsgi",
        "--port",
        "0",
        "--respawn-failed-workers",
    ],
}


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS])
@pytest.mark.parametrize("server", SERVERS)
def test_of_a_worker(tmp_path, server, number):
    (tmp_path / "small.py").write_text(APPLICATION)
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        master = subprocess.Popen(
            [sys.executable, *SERVERS[server]],
            cwd=tmp_path,
            env={**os.environ, **FAULT_HANDLER},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        os.kill(worker_of(master.pid), number)
        eventually(lambda: crashes([log]))
    finally:
        os.killpg(master.pid, signal.SIGKILL)
        master.wait()


def worker_of(master: int) -> int:
    """Return its first child, once that has had time to set itself up."""
    listed = Path(f"/proc/{master}/task/{master}/children")
    eventually(listed.read_text)
    time.sleep(1)
    return int(listed.read_text().split()[0])


def test_not_of_one_that_was_killed_on_purpose(tmp_path):
    log = tmp_path / "server.log"
    log.write_text(
        "Worker (pid:7) was sent SIGKILL! Perhaps out of memory?\nWorker (pid:8) was sent SIGTERM!\n"
    )
    assert crashes([log]) == []
