"""`script/server` and then `script/demo`, as the README gives them to a newcomer."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

from free_ports import free_port

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0  # seconds for a first start, which makes the databases
KEPT = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")


def registered(url: str) -> int | None:
    """Return the status of a registration, or None if nobody listens."""
    try:
        return httpx.post(
            url, json={"email": "early@example.com", "password": "seven green bicycles"}, timeout=10
        ).status_code
    except httpx.TransportError:
        return None


def test_nothing_answers_before_it_can_and_the_demo_is_told_to_its_end() -> None:
    # PostgreSQL's own user may have to pass, which pytest's directories do not allow.
    with tempfile.TemporaryDirectory(prefix="two-commands-") as place:
        Path(place).chmod(0o711)
        log = Path(place) / "server.log"
        port = free_port(of=3)
        ports = dict(
            zip(("PORT", "INTERNAL_PORT", "ADMIN_PORT"), map(str, range(port, port + 3)), strict=True)
        )
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {**ports, "VAR_DIR": f"{place}/var"}
        with (
            log.open("wb") as said,
            subprocess.Popen(
                [ROOT / "script" / "server"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            ) as server,
        ):
            try:
                answers = set()
                until = time.monotonic() + PATIENCE
                while "Ready after" not in log.read_text():
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < until, log.read_text()
                    answers.add(registered(f"http://127.0.0.1:{port}/v1/auth/register"))
                    time.sleep(0.05)
                assert answers <= {None, 202, 429}, log.read_text()
                told = subprocess.run(
                    [ROOT / "script" / "demo"],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                    check=False,
                )
                assert told.returncode == 0, told.stdout + told.stderr + log.read_text()
                assert "All answers were as they should be." in told.stdout
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(timeout=60)
        assert server.returncode == 0
        assert "Traceback" not in log.read_text()
