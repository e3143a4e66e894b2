"""A progress bar on standard error, shown only on a terminal."""

import sys
import time

WIDTH = 30
SECONDS_BETWEEN = 0.2


class Progress:
    """Usage: `with Progress("users", total=n) as progress: ... progress.add(3)`."""

    def __init__(self, label: str, *, total: int) -> None:
        self.label, self.total = label, max(total, 1)
        self.done = 0
        self.shown = sys.stderr.isatty()
        self._started = time.monotonic()
        self._last = 0.0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.shown:
            self._draw()
            sys.stderr.write("\n")

    def add(self, count: int = 1) -> None:
        self.done += count
        if self.shown and time.monotonic() - self._last > SECONDS_BETWEEN:
            self._draw()

    def _draw(self) -> None:
        self._last = time.monotonic()
        share = min(self.done / self.total, 1)
        rate = self.done / max(self._last - self._started, 0.001)
        bar = "#" * int(share * WIDTH)
        sys.stderr.write(f"\r[{bar:<{WIDTH}}] {self.done:,}/{self.total:,} {self.label}, {rate:,.0f}/s ")
        sys.stderr.flush()
