"""Real servers that misbehave: for what happens when Redis, the broker or the mail server is down, silent or rude."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


@contextmanager
def silent_port() -> Iterator[int]:
    """Accept connections and never say a word: a black hole."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@contextmanager
def dripping_port() -> Iterator[int]:
    """Answer with a body that comes byte by byte and never ends."""

    def drip(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            peer.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
            )
            while not over.wait(0.1):
                peer.sendall(b" ")

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        over.set()
        listener.shutdown(socket.SHUT_RDWR)


def connections_to(silent: socket.socket) -> int:
    """Accept and count those that came to a server since it began to listen."""
    silent.settimeout(0)
    count = 0
    with suppress(BlockingIOError), ExitStack() as accepted:
        while True:
            accepted.enter_context(silent.accept()[0])
            count += 1
    return count


CUT, STALL = "cut", "stall"


class MailServer:
    """A small SMTP server. `received` are the mails it took.

    `answers` overrides what it says to a verb, always or to lines with a word in them. To CUT it hangs up; to STALL it
    says nothing.
    """

    def __init__(self, **answers: str | dict[str, str]) -> None:
        self.answers = answers
        self.received: list[str] = []

    @contextmanager
    def running(self) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
            yield listener.getsockname()[1]
            listener.shutdown(socket.SHUT_RDWR)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            conversation = peer.makefile("rw", newline="\r\n", encoding="utf-8")
            with peer, conversation, suppress(ConnectionAbortedError):
                self._talk(conversation)

    def _answer(self, verb: str, line: str) -> str:
        usual = {"DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 ok")
        answer = self.answers.get(verb, usual)
        if isinstance(answer, dict):
            return next((said for word, said in answer.items() if word in line), usual)
        return answer

    def _talk(self, conversation: object) -> None:
        hear = conversation.readline  # type: ignore[attr-defined]

        def say(answer: str) -> None:
            if answer == CUT:
                raise ConnectionAbortedError
            if answer != STALL:
                conversation.write(f"{answer}\n")  # type: ignore[attr-defined]
                conversation.flush()  # type: ignore[attr-defined]

        say("220 here")
        while line := hear():
            verb = line.split()[0].upper() if line.split() else ""
            say(self._answer(verb, line))
            if verb == "DATA" and "DATA" not in self.answers:
                self.received.append("".join(iter(hear, ".\r\n")))
                say(self._answer("END", ""))
            if verb == "QUIT":
                return
