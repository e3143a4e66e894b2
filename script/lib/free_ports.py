"""Loopback ports for the servers of tests, drills and benchmarks."""

import contextlib
import secrets
import socket


def free_port(*, of: int = 1) -> int:
    """Return a free port, the first of `of` free ports in a row.

    All are below the range that the kernel gives to connections (Linux: from 32768): a connection could take the port
    before its server does.
    """
    while True:
        first = 10_000 + secrets.randbelow(22_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + of):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
