"""The processor time of a process and all its descendants, as Linux counts it."""

import contextlib
import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def seconds_of(process: int) -> float:
    """Return what the process, its ended children and its living descendants have used since they started."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS + sum(map(seconds_of, children(process)))
    return 0.0


def children(process: int) -> list[int]:
    """Return the children that any of its threads started."""
    listed = (task.read_text() for task in Path(f"/proc/{process}/task").glob("*/children"))
    return [int(child) for text in listed for child in text.split()]
