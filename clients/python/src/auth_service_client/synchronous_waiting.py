"""How the synchronous client waits, and the connections that it uses."""

import os
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import httpx

sleep = time.sleep


def shielded(seconds: float) -> AbstractContextManager[object]:
    """Do nothing: a thread cannot be cancelled."""
    return nullcontext()


def answer_of(http: httpx.Client, seconds: float, **request: Any) -> httpx.Response:
    """Return the whole answer, or raise ReadTimeout: httpx's own time-out restarts with every byte."""
    until, body = time.monotonic() + seconds, bytearray()
    with http.stream(timeout=seconds, **request) as answer:
        if (
            answer.is_stream_consumed
        ):  # by a hook of yours, or it never came over a wire, as from a MockTransport
            return answer
        for piece in answer.iter_raw():
            body += piece
            if time.monotonic() > until:
                raise httpx.ReadTimeout("The answer did not end in time.")
    return httpx.Response(
        answer.status_code, headers=answer.headers, content=bytes(body), request=answer.request
    )


class Connections:
    """Holds what was given, or our own for each process: two that shared one after a fork would mix up answers."""

    def __init__(self, given: httpx.Client | None) -> None:
        self._given = given
        self._ours: dict[int, httpx.Client] = {}

    def get(self) -> httpx.Client:
        return self._given or self._ours.get(os.getpid()) or self._ours.setdefault(os.getpid(), opened())

    def close(self) -> None:
        """Close our own of this process."""
        if http := self._ours.get(os.getpid()):
            http.close()


def opened() -> httpx.Client:
    """Return connections of our own: the key and people's tokens go to no proxy that the environment names."""
    return httpx.Client(trust_env=False, verify=httpx.create_ssl_context())
