"""Guesses at a second factor by someone who has the password: over 40 sign-ins, from 20 addresses, all at once."""

import random
from collections import Counter
from typing import Any

from calls import Answer, Caller, random_address
from crowd import tokens_of
from instance import Instance, Person
from mail_sink import MailSink
from people import login
from report import Report
from tests.authenticators import code_of, next_code, wrong_code
from traffic import at_once

ADDRESSES, SIGN_INS, TRIES_OF_EACH, EVALUATED = 20, 40, 5, 10
CLIENTS = 20
REFUSALS = {"mfa_invalid_code", "mfa_token_invalid", "rate_limited"}


def a_code_from_everywhere(instance: Instance, _sink: MailSink, report: Report) -> None:
    person = instance.people(1)[0]
    secret = enrol(instance, person)
    tokens = half_sign_ins(instance, person, report)
    jobs = [lambda caller, token=token: guess(caller, token, secret) for token in tokens] * TRIES_OF_EACH
    random.shuffle(jobs)
    addresses = [random_address() for _ in range(ADDRESSES)]
    answers: list[Answer] = at_once(
        jobs, lambda: Caller(instance.ports["web"], address=random.choice(addresses)), clients=CLIENTS
    )
    codes = Counter(answer.code or str(answer.status) for answer in answers)
    report.line("guesses", len(answers), *(f"{count} x {code}" for code, count in codes.most_common()))
    looked_at = codes["mfa_invalid_code"]
    report.require(looked_at <= EVALUATED, f"{looked_at} wrong codes were looked at")
    report.require(set(codes) <= REFUSALS, f"answered {sorted(codes)}")
    right = send(Caller(instance.ports["web"]), tokens[0], next_code(secret))
    report.line("the right code, in the pause", right.status, right.code)
    report.require(not right.done, "the account is not paused after ten wrong codes")


def enrol(instance: Instance, person: Person) -> str:
    """Enrol an app for this person, and return its secret."""
    device = Caller(instance.ports["web"])
    token = tokens_of(login(instance, person).body)["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    secret = str(device.post("/v1/auth/mfa/totp", None, headers).body["secret"])
    confirmed = device.post("/v1/auth/mfa/totp/confirm", {"code": code_of(secret)}, headers)
    if not confirmed.done:
        raise SystemExit(f"The app was not enrolled: {confirmed.body}")
    return secret


def half_sign_ins(instance: Instance, person: Person, report: Report) -> list[str]:
    """Start sign-ins with the right password, which the attacker has, and return their tokens."""
    answers = [login(instance, person) for _ in range(SIGN_INS)]
    tokens = [str(answer.body["mfa_token"]) for answer in answers if answer.code == "mfa_required"]
    report.line("half sign-ins", f"{len(tokens)} of {SIGN_INS}")
    report.require(bool(tokens), "no sign-in came to its second step")
    return tokens


def guess(caller: Caller, token: str, secret: str) -> Answer:
    return send(caller, token, wrong_code(secret))


def send(caller: Caller, token: str, code: str) -> Answer:
    body: dict[str, Any] = {"mfa_token": token, "code": code}
    return caller.post("/v1/auth/login/mfa", body)
