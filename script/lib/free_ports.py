"""Ports of loopback for the servers of tests, drills and benchmarks."""

import contextlib
import secrets
import socket


def free_port(*, of: int = 1) -> int:
    """Return a port at which nobody listens, the first of `of` such ports in a row.

    All are below those that the kernel gives to connections (Linux: from 32768): one of these could take the port
    before its server does.
    """
    while True:
        first = 10_000 + secrets.randbelow(22_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + of):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
