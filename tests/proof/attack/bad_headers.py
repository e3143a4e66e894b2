"""1,000 malformed Authorization headers, from a seed that is printed: each is refused, and none causes an error."""

import random
import secrets
import socket
from collections import Counter

from crowd import tokens_of
from instance import Instance
from mail_sink import MailSink
from people import login
from report import Report

HEADERS = 1000
SCHEMES = (
    b"Bearer",
    b"bearer",
    b"BEARER",
    b"Basic",
    b"Digest",
    b"JWT",
    b"Token",
    b"",
    b"Bearer:",
    b"Bearer Bearer",
)
SPACES = (b" ", b"", b"  ", b"\t", b" \t ", b",", b"=", b"\xa0")


def a_thousand_authorizations(instance: Instance, _sink: MailSink, report: Report) -> None:
    token = tokens_of(login(instance, instance.people(1)[0]).body)["access_token"].encode()
    seed = secrets.randbits(32)
    chosen, statuses = random.Random(seed), Counter[int]()
    for _ in range(HEADERS):
        header = malformed(chosen, token)
        status = answered(instance.ports["web"], header)
        statuses[status] += 1
        report.require(400 <= status < 500, f"answered {status} to {header[:80]!r}")
    report.line(
        f"{HEADERS} headers, seed {seed}",
        *(f"{count} x {status}" for status, count in statuses.most_common()),
    )


def malformed(chosen: random.Random, token: bytes) -> bytes:
    """Return anything but the one genuine form: scheme, one space, the whole token."""
    kind = chosen.randrange(5)
    if kind == 0:
        body = chosen.randbytes(chosen.randrange(200))
    elif kind == 1:
        body = token[: chosen.randrange(len(token))]
    elif kind == 2:
        body = b".".join(
            chosen.randbytes(chosen.randrange(9)).hex().encode() for _ in range(chosen.randrange(6))
        )
    elif kind == 3:
        body = token + chosen.choice((b".", b" x", b",", b";", b"\xff", b"=", token))
    else:
        body = b"." * chosen.randrange(5000)
    header = chosen.choice(SCHEMES) + chosen.choice(SPACES) + body
    return header.translate(None, b"\r\n\0")


def answered(port: int, header: bytes) -> int:
    """Return the status, over a socket: HTTP clients refuse to send what an attacker would."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        request = b"GET /v1/auth/me HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: "
        connection.sendall(request + header + b"\r\n\r\n")
        line = connection.makefile("rb").readline().split()
    return int(line[1]) if len(line) > 1 else 0
