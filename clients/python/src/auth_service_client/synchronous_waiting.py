"""How the synchronous client waits, and what its calls go over."""

import time
from contextlib import AbstractContextManager, nullcontext

import httpx

sleep = time.sleep


def shielded(seconds: float) -> AbstractContextManager[object]:
    """Nothing cancels a thread."""
    return nullcontext()


class Connections:
    """Holds what was given, or our own for all threads."""

    def __init__(self, given: httpx.Client | None) -> None:
        self._given = given
        self._ours = None if given else httpx.Client()

    def get(self) -> httpx.Client:
        http = self._given or self._ours
        assert http is not None  # noqa: S101 -- one of the two
        return http

    def close(self) -> None:
        """Close our own."""
        if self._ours:
            self._ours.close()
