"""Records which processes were started, so that the next start can end those left by a supervisor that was killed."""

import json
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from processes import kill_group, send, started_at

PATIENCE = 15.0  # seconds that an open request or a flush may take


@dataclass(frozen=True)
class Started:
    """A process as we started it; the kernel's start time distinguishes it from a later one with the same pid."""

    name: str
    pid: int
    since: str
    stop_signal: int

    def runs(self) -> bool:
        return started_at(self.pid) == self.since


def remember(path: Path, processes: Iterable[Started]) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps([asdict(process) for process in processes]))
    draft.replace(path)


def recall(path: Path) -> list[Started]:
    """Return processes of an earlier run that are still running. A file cut short by a crash counts as none."""
    try:
        recorded = [Started(**row) for row in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return []
    return [process for process in recorded if process.runs()]


def end(processes: list[Started], *, patience: float = PATIENCE) -> None:
    """End the processes as their supervisor would have, and by force if they do not stop."""
    for process in reversed(processes):
        send(process.pid, process.stop_signal)
    deadline = time.monotonic() + patience
    while any(process.runs() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in processes:
        if process.runs():
            send(process.pid, signal.SIGKILL)
        kill_group(process.pid)


def forget(path: Path) -> None:
    path.unlink(missing_ok=True)
