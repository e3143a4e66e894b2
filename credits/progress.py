"""A progress bar on stderr, for commands that people watch. In a pipe or a log there is none."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

Item = TypeVar("Item")
WIDTH = 30
SECONDS_BETWEEN = 0.1


def shown(items: Iterable[Item], *, total: int, stream: TextIO | None = None) -> Iterator[Item]:
    """The same items, with a bar that follows them where `stream` (stderr) is a terminal."""
    stream = stream or sys.stderr
    return _drawn(items, total, stream) if stream.isatty() else iter(items)


def _drawn(items: Iterable[Item], total: int, stream: TextIO) -> Iterator[Item]:
    drawn_at = 0.0
    done = 0
    try:
        for done, item in enumerate(items, start=1):
            yield item
            if (now := time.monotonic()) - drawn_at >= SECONDS_BETWEEN:
                drawn_at = now
                stream.write(f"\r{bar(done, total)}")
                stream.flush()
    finally:
        stream.write(f"\r{bar(done, total)}\n")
        stream.flush()


def bar(done: int, total: int) -> str:
    """`[#####.....] 50 % 500/1,000`"""
    share = min(1.0, done / total) if total else 1.0
    filled = int(share * WIDTH)
    return f"[{'#' * filled}{'.' * (WIDTH - filled)}] {int(share * 100):>3} % {done:,}/{total:,}"
