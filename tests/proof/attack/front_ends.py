"""The server of a front end: its users are not treated as one client, and its statements about them are trusted for
nothing else.
"""

import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from accounts.kit import base64url
from calls import Answer, Caller
from instance import Instance, Person
from mail_sink import MailSink
from report import Report
from traffic import at_once

PEOPLE, WITHIN = 60, 60.0  # seconds
TRIES, FREE = 25, 10  # wrong passwords in a row before an account pauses (RATE_LIMITS, login_account)
CALLS, QUOTA = 75, 60  # of the options of passkeys, by network
CLIENTS = 6
BUSY = 503


def behind_one_server(instance: Instance, _sink: MailSink, report: Report) -> None:
    server = _Server(instance)
    _everybody_gets_in(server, report)
    _one_account(server, report)
    _what_is_not_good(server, report)


class _Server:
    """A server at one address, with a key from `manage.py front_end_key` and one that is unknown."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.jwk = self._made("shop")
        self.audience = f"http://127.0.0.1:{instance.ports['web']}"
        self.move()

    def _made(self, name: str) -> dict[str, str]:
        _, said = self.instance.manage("front_end_key", "create", name, "--json")
        jwk: dict[str, str] = json.loads(said[said.index("{") : said.rindex("}") + 1])["jwk"]
        return jwk

    def move(self) -> None:
        self.address = f"198.51.{random.randrange(100, 255)}.{random.randrange(1, 255)}"

    def caller(self) -> Caller:
        return Caller(self.instance.ports["web"], address=self.address)

    def assertion(self, address: str, key: str = "", **claims: object) -> dict[str, str]:
        now = int(time.time())
        said = {
            "ip": address,
            "aud": self.audience,
            "jti": secrets.token_hex(12),
            "iat": now,
            "exp": now + 60,
        }
        half = base64url.decode((key or self.jwk["d"]).encode())
        private = Ed25519PrivateKey.from_private_bytes(half)
        header = {"typ": "client-assertion+jwt", "kid": self.jwk["kid"]}
        return {"X-Client-Assertion": jwt.encode({**said, **claims}, private, "EdDSA", header)}

    def sign_in(self, caller: Caller, person: Person, password: str = "", address: str = "") -> Answer:
        body = {"email": person.email, "password": password or person.password}
        return caller.post("/v1/auth/login", body, self.assertion(address or made_up()))


def made_up() -> str:
    return f"203.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"


def _everybody_gets_in(server: _Server, report: Report) -> None:
    people, begun = server.instance.people(PEOPLE), time.monotonic()
    answers = at_once(
        [partial(_signed_in, server, person) for person in people], server.caller, clients=CLIENTS
    )
    took, statuses = time.monotonic() - begun, Counter(answer.status for answer in answers)
    report.line(f"{PEOPLE} people through one server", f"{took:.0f} s", str(dict(statuses)))
    report.require(statuses == {200: PEOPLE}, f"{PEOPLE} people through one server were answered {statuses}")
    report.require(took <= WITHIN, f"they took {took:.0f} s")


def _signed_in(server: _Server, person: Person, caller: Caller) -> Answer:
    """Sign in as the contract says: after a 503, when the queue for a hash is full, retry a second later."""
    address, until = made_up(), time.monotonic() + WITHIN
    while (answer := server.sign_in(caller, person, address=address)).status == BUSY:
        if time.monotonic() > until:
            break
        time.sleep(1)
    return answer


def _one_account(server: _Server, report: Report) -> None:
    """Guess at one account from many made-up addresses: they gain no more than a botnet's."""
    (person,), caller = server.instance.people(1), server.caller()
    wrong = Counter(server.sign_in(caller, person, "a wrong password 1").status for _ in range(TRIES))
    right = server.sign_in(caller, person).status
    report.line("one account from made-up addresses", str(dict(wrong)), f"then the right one: {right}")
    report.require(wrong[401] <= FREE, f"{wrong[401]} wrong passwords of one account were looked at")
    report.require(right == 429, f"a right password in a pause was answered {right}")


def _what_is_not_good(server: _Server, report: Report) -> None:
    """Send invalid assertions: each is ignored, so the server's own address counts as the client."""
    now, once = int(time.time()), server.assertion(made_up())
    kinds: dict[str, Callable[[], dict[str, str]]] = {
        "good": lambda: server.assertion(made_up()),
        "used before": lambda: once,
        "expired": lambda: server.assertion(made_up(), iat=now - 200, exp=now - 140),
        "longer than a minute": lambda: server.assertion(made_up(), exp=now + 3600),
        "for another audience": lambda: server.assertion(made_up(), aud="https://other.example"),
        "of another key": lambda: server.assertion(made_up(), _another_half()),
        "none": dict,
    }
    for name, make in kinds.items():
        server.move()
        caller = server.caller()
        got = Counter(caller.post("/v1/auth/passkey/options", {}, make()).status for _ in range(CALLS))
        report.line(name, f"{CALLS} calls", str(dict(got)))
        wanted = {200: CALLS} if name == "good" else {200: got[200], 429: CALLS - got[200]}
        report.require(got == wanted, f"{name}: answered {dict(got)}")
        more = 1 if name == "used before" else 0  # the first use of it was good
        report.require(name == "good" or got[200] <= QUOTA + more, f"{name}: {got[200]} of {CALLS} passed")


def _another_half() -> str:
    return base64url.encode(Ed25519PrivateKey.generate().private_bytes_raw())
