"""Waiting for what a thread or a process will do, however busy the machine is."""

import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds after which it will not come


def eventually(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return once the condition holds. Fails where it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.01)
