"""Asks the kernel which processes are alive and since when, and ends them."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LINUX = sys.platform.startswith("linux")
SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)

_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None


def started_at(pid: int) -> str | None:
    """Return when the kernel started this process, so that a reused pid is never mistaken for ours; None once it has
    ended.

    A zombie counts as ended: the first process of a container may never collect it.
    """
    if not LINUX:
        shown = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return shown.stdout.strip() or None
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else fields[19].decode()


def send(pid: int, number: int) -> None:
    """Signal one process; it is not an error if it has already ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def kill_group(leader: int) -> None:
    """Kill the rest of a process group, even after its leader has ended."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS returns EPERM for a group of zombies
        pass


def die_with_parent(number: int) -> Callable[[], None] | None:
    """Return a Popen preexec_fn: the kernel signals the child when its parent ends, for any reason (Linux only).

    It must be armed after a change of user, which clears it; Popen runs preexec_fn last.
    """
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def arm() -> None:
        libc.prctl(SET_PARENT_DEATH_SIGNAL, number)
        if os.getppid() != parent:  # it ended between the fork and the call
            os._exit(1)

    return arm
