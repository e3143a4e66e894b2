"""Requests as raw bytes, which HTTP clients refuse to send: forms of a body on the wire (RFC 9112)."""

import contextlib
import json
import socket
from collections.abc import Callable, Mapping

PATIENCE = 15.0  # seconds
Result = tuple[int | None, str]
Shape = Callable[[str, bytes, Mapping[str, str]], bytes]


def exchange(port: int, request: bytes) -> Result:
    """Return the status and the problem's code; the status is None if the connection was closed without an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with contextlib.suppress(OSError):  # refused before all of it was read
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        return _answer(_all_of(connection))


def _all_of(connection: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(OSError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def _answer(text: bytes) -> Result:
    head, _, body = text.partition(b"\r\n\r\n")
    line = head.split(b"\r\n", 1)[0].split()
    if len(line) < 2 or not line[1].isdigit():
        return None, ""
    with contextlib.suppress(ValueError, AttributeError):
        return int(line[1]), str(json.loads(body).get("code", ""))
    return int(line[1]), ""


def request(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    named = {"Host": "127.0.0.1", "Connection": "close", **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {text}" for name, text in named.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    half = len(body) // 2
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]))
    return request(path, parts + b"0\r\n\r\n", {**headers, "Transfer-Encoding": "chunked"})


def chunked_endlessly(path: str, _body: bytes, headers: Mapping[str, str]) -> bytes:
    return chunked(path, b" " * 2**22, headers)


def chunks_that_are_none(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    return request(path, b"zz\r\n" + body, {**headers, "Transfer-Encoding": "chunked"})


def length_and_chunks(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Send both a length and chunks, as request smuggling does."""
    both = {**headers, "Content-Length": str(len(body)), "Transfer-Encoding": "chunked"}
    return request(path, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), both)


def lengths(text: str) -> Shape:
    """Return a request maker with an invalid Content-Length."""
    return lambda path, body, headers: request(path, body, {**headers, "Content-Length": text})


def cut_short(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    return request(path, body[:-10], {**headers, "Content-Length": str(len(body))})


def signature_twice(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    twice = {**headers, "STRIPE-SIGNATURE": headers["Stripe-Signature"], "Content-Length": str(len(body))}
    return request(path, body, twice)


REFUSED_BY_SERVER = (400, "")
SHAPES: dict[str, tuple[Shape, Result]] = {
    "chunked": (chunked, (200, "")),
    "4 MiB in chunks": (chunked_endlessly, (413, "body_too_large")),
    "chunks that are none": (chunks_that_are_none, (400, "body_unreadable")),
    "length and chunks": (length_and_chunks, REFUSED_BY_SERVER),
    "length -1": (lengths("-1"), REFUSED_BY_SERVER),
    "length a word": (lengths("many"), REFUSED_BY_SERVER),
    "length of 30 digits": (lengths("9" * 30), (413, "body_too_large")),
    "cut short": (cut_short, (400, "signature_invalid")),
    "the signature twice": (signature_twice, (400, "signature_invalid")),
}
