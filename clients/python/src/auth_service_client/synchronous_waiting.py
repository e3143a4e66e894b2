"""How the synchronous client waits."""

import time
from contextlib import AbstractContextManager, nullcontext

sleep = time.sleep


def shielded(seconds: float) -> AbstractContextManager[object]:
    """Nothing cancels a thread."""
    return nullcontext()
