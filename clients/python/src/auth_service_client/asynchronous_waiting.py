"""How the asynchronous client waits, on asyncio or trio."""

from contextlib import AbstractContextManager

import anyio

sleep = anyio.sleep


def shielded(seconds: float) -> AbstractContextManager[object]:
    """Let what is inside come to its end though its task is cancelled, for so many seconds at most."""
    return anyio.move_on_after(seconds, shield=True)
