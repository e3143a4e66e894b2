"""How the synchronous client waits, and what its calls go over."""

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import httpx

sleep = time.sleep


def shielded(seconds: float) -> AbstractContextManager[object]:
    """Nothing cancels a thread."""
    return nullcontext()


def answer_of(http: httpx.Client, seconds: float, **request: Any) -> httpx.Response:
    """Return the whole answer, or raise ReadTimeout: httpx's own time-out begins again with every byte."""
    until, body = time.monotonic() + seconds, bytearray()
    with http.stream(timeout=seconds, **request) as answer:
        for piece in answer.iter_raw():
            body += piece
            if time.monotonic() > until:
                raise httpx.ReadTimeout("The answer did not end in time.")
    return httpx.Response(
        answer.status_code, headers=answer.headers, content=bytes(body), request=answer.request
    )


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
