"""Measures in process, without a socket: statements per call, and the processor time of a `use` by part.

Each listener has its own application, so this file is also the program that measures in one (`inside.py statements`).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import databases
from figures import Figure
from listeners import ours
from load import http
from runs import WARM_UP, Size

PROGRAM = Path(__file__).with_name("in_process.py")


def statements(size: Size) -> Iterator[Figure]:
    """Count statements per call in process, BEGIN and COMMIT included."""
    counted = _run("internal", "statements") | _run("public", "statements")
    for name, numbers in counted.items():
        yield Figure(
            name=f"statements of {name}", unit="", samples=numbers, must=1, aim=1, less_is_better=True
        )


def profile(size: Size) -> Iterator[Figure]:
    """The processor time of one `use` by part: of each part the median of many tries."""
    parts = _run("internal", "profile", size.tries)
    with ours(databases.url()) as server:
        http(server, connections=8, seconds=WARM_UP)
        served = [http(server, connections=8, seconds=size.seconds).server_cpu_us for _ in range(size.rounds)]
    over_http = median(served)
    parts |= {"gunicorn, threads, sockets": over_http - parts["whole"], "of a use over HTTP": over_http}
    parts["of a use in process"] = parts.pop("whole")
    for name, microseconds in sorted(parts.items(), key=lambda part: part[0].startswith("of ")):
        yield Figure(name=f"CPU {name}", unit="us", samples=[microseconds])


def _run(listener: str, what: str, *arguments: object) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::UserWarning", str(PROGRAM), what, *map(str, arguments)],
        env={**os.environ, "LISTENER": listener, "DATABASE_URL": databases.url()},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
