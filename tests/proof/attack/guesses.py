"""Sends 200 wrong passwords at once for one account, forging every header that identifies a client."""

import random
import secrets
from collections import Counter

from calls import Answer, Caller
from instance import Instance
from mail_sink import MailSink
from report import Report
from traffic import at_once

TRIES, EVALUATED = 200, 5
CLIENTS = 50


def a_password_from_everywhere(instance: Instance, _sink: MailSink, report: Report) -> None:
    (person, unknown) = (instance.people(1)[0].email, f"nobody-{secrets.token_hex(4)}@attack.example")
    for name, email in (("an account", person), ("no account", unknown)):
        here = f"198.51.100.{random.randrange(1, 255)}"
        answers: list[Answer] = at_once(
            [lambda caller, email=email: guess(caller, email) for _ in range(TRIES)],  # type: ignore[misc]
            lambda here=here: Caller(instance.ports["web"], address=here),  # type: ignore[misc]
            clients=CLIENTS,
        )
        statuses = Counter(answer.status for answer in answers)
        report.line(
            name, f"{TRIES} tries", *(f"{count} x {status}" for status, count in statuses.most_common())
        )
        report.require(statuses[401] <= EVALUATED, f"{name}: {statuses[401]} wrong passwords were looked at")
        report.require(set(statuses) <= {401, 429, 503}, f"{name}: answered {sorted(map(str, statuses))}")
        waits = [
            answer for answer in answers if answer.status == 429 and not answer.headers.get("retry-after")
        ]
        report.require(not waits, "a 429 does not say when to come back")


def guess(caller: Caller, email: str) -> Answer:
    """Guess behind forged headers: the proxy appends the rightmost entry, and the attacker wrote everything to its
    left.
    """
    forged = f"203.0.113.{random.randrange(256)}"
    own = caller.own_address
    headers = {
        "X-Forwarded-For": f"{forged}, {own}",
        "X-Real-IP": forged,
        "Forwarded": f"for={forged}",
        "X-Client-IP": forged,
        "True-Client-IP": forged,
    }
    spelling = email.upper() if random.random() < 0.5 else f" {email}"
    return caller.post("/v1/auth/login", {"email": spelling, "password": secrets.token_urlsafe(12)}, headers)
