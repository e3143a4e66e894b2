"""How the asynchronous client waits, on asyncio or trio, and the connections that it uses."""

import ssl
import threading
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import anyio
import httpx
from anyio.lowlevel import current_token

sleep = anyio.sleep


def shielded(seconds: float) -> AbstractContextManager[object]:
    """Let the block finish even if its task is cancelled, for at most this many seconds."""
    return anyio.move_on_after(seconds, shield=True)


async def answer_of(http: httpx.AsyncClient, seconds: float, **request: Any) -> httpx.Response:
    """Return the whole answer, or raise ReadTimeout: httpx's own time-out restarts with every byte."""
    try:
        with anyio.fail_after(seconds):
            return await http.request(timeout=seconds, **request)
    except TimeoutError as error:
        raise httpx.ReadTimeout("The answer did not end in time.") from error


class Connections:
    """Holds the client that was passed in, or one per event loop: connections end with the loop that opened them."""

    def __init__(self, given: httpx.AsyncClient | None) -> None:
        self._given = given
        self._here = threading.local()

    def get(self) -> httpx.AsyncClient:
        return self._given or self._of_this_loop() or self._opened()

    async def aclose(self) -> None:
        """Close this event loop's own client."""
        if http := self._of_this_loop():
            await http.aclose()

    def _of_this_loop(self) -> httpx.AsyncClient | None:
        loop, http = getattr(self._here, "opened", (None, None))
        return http if loop == current_token() else None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()

    def _opened(self) -> httpx.AsyncClient:
        http = httpx.AsyncClient(trust_env=False, verify=self._tls)  # the environment's proxies get no key
        self._here.opened = current_token(), http
        return http
