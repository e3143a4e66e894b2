"""Asks the kernel about processes: which one lives, since when; and ends them."""

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
    """When the kernel started this process, so that a reused pid is never taken for ours; None once it is gone.

    A zombie counts as gone: the first process of a container may never collect it.
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
    """Signal one process; one that is already gone is not an error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def kill_group(leader: int) -> None:
    """Kill whatever is left of the group a process led, after the leader itself has ended too."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        pass


def die_with_parent(number: int) -> Callable[[], None] | None:
    """A Popen preexec_fn: the kernel signals the child when its parent ends, however that happens (Linux only).

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
