"""Leaving a server alone that did not answer, so that it does not cost one caller after the other their patience."""

import threading
import time
from collections.abc import Callable


class Rest:
    """So many seconds in which nobody in this process asks the server, from the last `begin` on.

    With a `probe` no caller is ever the one who finds out: when the time is over a thread asks, and the rest goes on
    until the server has answered it.
    """

    def __init__(
        self,
        seconds: float,
        *,
        probe: Callable[[], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds, self._probe, self._clock = seconds, probe, clock
        self._until = 0.0  # while it does not rest

    def is_over(self) -> bool:
        """Return whether this caller may ask the server."""
        until = self._until
        if not until:
            return True
        if self._clock() < until:
            return False
        if self._probe is not None:
            self.begin()  # for everybody else, while the thread asks
            threading.Thread(target=self._look, args=(self._probe,), name="rest-is-over", daemon=True).start()
        return self._probe is None

    def begin(self) -> None:
        """Call it when the server did not answer."""
        self._until = self._clock() + self.seconds

    def end(self) -> None:
        """Call it when the server has answered."""
        self._until = 0.0

    def _look(self, probe: Callable[[], object]) -> None:
        try:
            probe()
        except Exception:  # noqa: BLE001  whatever it raises, that was no answer
            self.begin()
        else:
            self.end()
