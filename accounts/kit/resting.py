"""Leave an unresponsive server alone, so that its time-out does not cost one caller after another."""

import threading
import time
from collections.abc import Callable


class Rest:
    """A number of seconds, from the last `begin`, during which this process does not ask the server.

    With a `probe`, no caller has to find out: when the time is over, a thread asks, and the rest continues until the
    server has answered.
    """

    def __init__(
        self,
        seconds: float,
        *,
        probe: Callable[[], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds, self._probe, self._clock = seconds, probe, clock
        self._until = 0.0  # 0.0: not resting

    def is_over(self) -> bool:
        """Return whether this caller may ask the server."""
        until = self._until
        if not until:
            return True
        if self._clock() < until:
            return False
        if self._probe is not None:
            self.begin()  # for all other callers, while the thread asks
            threading.Thread(target=self._look, args=(self._probe,), name="rest-is-over", daemon=True).start()
        return self._probe is None

    def begin(self) -> None:
        """Start a rest, because the server did not answer."""
        self._until = self._clock() + self.seconds

    def end(self) -> None:
        """End the rest, because the server answered."""
        self._until = 0.0

    def _look(self, probe: Callable[[], object]) -> None:
        try:
            probe()
        except Exception:  # noqa: BLE001  whatever it raises, the server did not answer
            self.begin()
        else:
            self.end()
