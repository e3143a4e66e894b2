"""Finds processes killed by a signal that nobody sends on purpose: a crash in native code leaves no other trace.

gunicorn, Celery and the supervisor name the signal. granian does not; with PYTHONFAULTHANDLER=1 Python itself reports
it.
"""

import re
from collections.abc import Iterable
from pathlib import Path

FAULT_HANDLER = {"PYTHONFAULTHANDLER": "1"}  # for the environment of the watched processes
_CRASH = re.compile(r"\bSIG(?:SEGV|ABRT|BUS|ILL|FPE)\b|Fatal Python error|Segmentation fault")


def crashes(logs: Iterable[Path]) -> list[str]:
    """Return the lines that report a crash, with the name of their file."""
    return [
        f"{log.name}: {line.strip()[:200]}"
        for log in logs
        for line in log.read_text(errors="replace").splitlines()
        if _CRASH.search(line)
    ]
