"""A mail server that keeps what it gets and misbehaves on request (RFC 5321, as much of it as smtplib uses)."""

import contextlib
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.policy import default as modern
from typing import Any, Self


@dataclass(frozen=True)
class Behaviour:
    """Delays before accepting a message and before saying so, and the answer to a recipient."""

    before: float = 0.0
    after: float = 0.0
    recipient: bytes = b"250 ok"
    silent: bool = False  # takes connections and says nothing


@dataclass(frozen=True)
class Mail:
    """One copy that arrived; the sender may not know that it did."""

    message_id: str
    to: str
    at: float
    text: str = ""
    sender: str = ""  # the host that brought it


class MailSink:
    def __init__(self, address: str = "127.0.0.1") -> None:
        self._address = address
        self.mails: list[Mail] = []
        self.sending = threading.Event()  # someone is in the middle of a message
        self.behaviour = Behaviour()
        self._server: socketserver.ThreadingTCPServer | None = None
        self.port = self._open(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def behave(self, **how: Any) -> None:
        """Behave like this from now on, and otherwise as a good server does."""
        self.behaviour = replace(Behaviour(), **how)
        self.open()

    def open(self) -> None:
        if self._server is None:
            self._open(self.port)

    def close(self) -> None:
        """Stop listening: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _open(self, port: int) -> int:
        sink = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    Conversation(
                        sink, self.rfile.readline, self.wfile.write, sender=self.client_address[0]
                    ).run()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False
            address_family = socket.AF_INET

        self._server = Server((self._address, port), Session)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return int(self._server.server_address[1])

    def copies(self) -> Counter[str]:
        """Return how often each mail arrived, by recipient and Message-ID."""
        return Counter(f"{mail.to} {mail.message_id}" for mail in list(self.mails))

    def newest(self, address: str) -> Mail | None:
        return next((mail for mail in reversed(self.mails) if mail.to == address), None)

    def arrived(self, address: str) -> float | None:
        """Return when the first mail to this address arrived."""
        return min((mail.at for mail in list(self.mails) if mail.to == address), default=None)


class Conversation:
    """One connection, command by command."""

    def __init__(
        self, sink: MailSink, readline: Callable[[], bytes], write: Callable[[bytes], Any], *, sender: str
    ) -> None:
        self._sink, self._readline, self._write, self._sender = sink, readline, write, sender

    def run(self) -> None:
        if self._sink.behaviour.silent:
            while self._readline():
                pass
            return
        self._say(b"220 sink ESMTP")
        while line := self._readline():
            command = line[:4].upper()
            if command == b"QUIT":
                self._say(b"221 bye")
                return
            self._obey(command)

    def _obey(self, command: bytes) -> None:
        if command == b"RCPT":
            self._say(self._sink.behaviour.recipient)
        elif command == b"DATA":
            self._take_message()
        else:
            self._say(b"250 ok")

    def _take_message(self) -> None:
        self._sink.sending.set()
        try:
            behaviour = self._sink.behaviour
            time.sleep(behaviour.before)
            self._say(b"354 go on")
            lines = []
            while (line := self._readline()) not in {b".\r\n", b""}:
                lines.append(line)
            if line:
                self._keep(b"".join(lines))
                time.sleep(behaviour.after)
                self._say(b"250 kept")
        finally:
            self._sink.sending.clear()

    def _keep(self, raw: bytes) -> None:
        message = message_from_bytes(raw, policy=modern)
        body = message.get_body(("plain",))
        text = body.get_content() if body is not None else ""
        identity, to = str(message["Message-ID"]), str(message["To"])
        self._sink.mails.append(Mail(identity, to, time.monotonic(), text, self._sender))

    def _say(self, line: bytes) -> None:
        self._write(line + b"\r\n")
