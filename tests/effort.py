"""How much work something is, whatever else the machine is doing."""

import time
from collections.abc import Callable


def effort(work: Callable[[], object]) -> float:
    """Return the processor's seconds that it takes this thread, at best of three times."""
    return min(_processor_seconds(work) for _ in range(3))


def _processor_seconds(work: Callable[[], object]) -> float:
    before = time.thread_time()
    work()
    return time.thread_time() - before
