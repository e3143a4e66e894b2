"""Passes the children's output on to the console, line by line, and wakes up when a signal arrives."""

import contextlib
import os
import selectors
import signal
import subprocess
from collections import deque
from dataclasses import dataclass, field
from typing import IO

from console import Console
from noise import is_noise

PIPE_SIZE = 65536
KEPT_LINES = 50


@dataclass(eq=False)
class Output:
    """The output of one process. A restarted process gets a new one: its descendants may still hold the old pipe."""

    name: str
    stream: IO[bytes]
    unfinished: bytes = b""
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))


class Relay:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._selector = selectors.DefaultSelector()
        self._listen_for_signals()

    def _listen_for_signals(self) -> None:
        reader, writer = os.pipe()
        for end in (reader, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ)

    def follow(self, name: str, process: subprocess.Popen[bytes]) -> Output:
        assert process.stdout  # noqa: S101  (a pipe was asked for)
        output = Output(name, process.stdout)
        os.set_blocking(output.stream.fileno(), False)
        self._selector.register(output.stream, selectors.EVENT_READ, output)
        return output

    def wait(self, timeout: float) -> None:
        """Return after some output, a signal (a child's end is one), or the timeout."""
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, Output):
                self._read(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, PIPE_SIZE)
        self._console.flush()

    def drain(self, output: Output) -> None:
        """Show everything that a process has written so far."""
        while not output.stream.closed and self._read(output):
            pass

    def _read(self, output: Output) -> bool:
        """Show the complete lines; return False if there are none for now, or none will follow."""
        try:
            data = os.read(output.stream.fileno(), PIPE_SIZE)
        except BlockingIOError:
            return False
        *lines, output.unfinished = (output.unfinished + data).split(b"\n")
        if not data:
            lines, output.unfinished = [output.unfinished], b""
            self._selector.unregister(output.stream)
            output.stream.close()
        for line in filter(None, lines):
            self._show(output, line.decode(errors="replace"))
        return bool(data)

    def _show(self, output: Output, line: str) -> None:
        output.recent.append(line)
        if not is_noise(output.name, line):
            self._console.say(output.name, line)
