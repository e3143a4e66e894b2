"""Lines on standard output, each labelled with the process that wrote it. Writing never blocks."""

import os
import select
import sys
import time
from collections import deque
from pathlib import Path

COLOURS = (36, 32, 35, 33, 34, 31)
NAME_WIDTH = 10
PIECE = 4096  # the amount that a pipe which select() calls writable accepts (PIPE_BUF)
KEPT_LINES = 2000


class Console:
    """Drops the oldest lines if its reader stops reading or has gone, so that the supervisor is never blocked."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._colours: dict[str, int] | None = {} if wants_colour(descriptor) else None

    def say(self, name: str, text: str) -> None:
        """Show one message; each of its lines carries the name."""
        for line in text.splitlines() or [""]:
            self._queue(f"{self._label(name)} | {line}\n".encode())
        self.flush()

    def show(self, text: str) -> None:
        """Show text unchanged, without a name."""
        for line in text.splitlines(keepends=True):
            self._queue(line.encode())
        self.flush()

    def flush(self, *, within: float = 0.0) -> None:
        """Write what the reader accepts now, or within this many seconds."""
        deadline = time.monotonic() + within
        try:
            while self._waiting and self._writable(deadline):
                line = self._waiting.popleft()
                written = os.write(self._descriptor, line[:PIECE])
                if line[written:]:
                    self._waiting.appendleft(line[written:])
        except (OSError, ValueError):  # the terminal or the reader is gone
            self._waiting.clear()

    def _writable(self, deadline: float) -> bool:
        remaining = max(0.0, deadline - time.monotonic())
        return bool(select.select([], [self._descriptor], [], remaining)[1])

    def _queue(self, line: bytes) -> None:
        if len(self._waiting) >= KEPT_LINES:
            self._waiting.popleft()
            self._dropped += 1
        elif self._dropped:
            self._waiting.append(f"({self._dropped} lines were dropped: nobody was reading)\n".encode())
            self._dropped = 0
        self._waiting.append(line)

    def _label(self, name: str) -> str:
        padded = f"{name:<{NAME_WIDTH}}"
        if self._colours is None:
            return padded
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\x1b[{colour}m{padded}\x1b[0m"


def wants_colour(descriptor: int) -> bool:
    """Return whether to use colours: only for people (https://no-color.org), and never under CI."""
    return os.isatty(descriptor) and not os.environ.get("NO_COLOR") and not os.environ.get("CI")


def open_closed_streams() -> None:
    """Open a closed stdin, stdout or stderr on /dev/null, so that the next file or pipe does not get its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  (for as long as the process)
