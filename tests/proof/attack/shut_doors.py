"""Attacks that could shut people out of their accounts; the owners then try to get in."""

import contextlib
import random
import secrets
import time
from collections import Counter
from typing import Any

import dev_env
from calls import Answer, Caller, random_address
from instance import Instance, Person
from mail_sink import MailSink
from pages import Pages
from people import await_mails
from report import Report
from traffic import at_once

GUESSES = 40  # from as many networks: more than bring a pause
CLIENTS = 8
MAILS, PATIENCE = 500, 5.0  # asked for by one network; seconds for another person's mail
TAKEN_OF_ONE_48 = 100
ADMIN_TRIES = 5
BUSY_REPEATS = 20


def an_owner_shut_out(instance: Instance, _sink: MailSink, report: Report) -> None:
    """Send wrong passwords from everywhere: the owner still gets in from home and on their device, nobody else does."""
    for home, next_door in (("198.51.100.7", "198.51.100.80"), ("2001:db8:7::1", "2001:db8:7:0:5::2")):
        person = instance.people(1)[0]
        token = signed_in(instance, person, home)
        guess_everywhere(instance, person.email)
        paused = sign_in(instance, person, random_address())
        wrong = [sign_in(instance, person, ip, "wrong") for ip in (next_door, random_address())]
        report.line("wrong, at home and elsewhere", *(answer.status for answer in wrong))
        report.require(paused.status == 429, "the account does not pause")
        told = {(answer.status, answer.code) for answer in (paused, *wrong)}
        report.require(len(told) == 1, f"a pause tells where the owner was: {sorted(map(str, told))}")
        for way, ip, device_token in (
            ("the network of before", next_door, ""),
            ("the device elsewhere", random_address(), token),
        ):
            guess_everywhere(instance, person.email)
            answer = sign_in(instance, person, ip, device_token=device_token)
            report.line(home, way, answer.status, answer.code)
            report.require(answer.done, f"the owner is shut out: {way}, {answer.status}")


def staff_shut_out(instance: Instance, _sink: MailSink, report: Report) -> None:
    """Do the same to the superuser at the public listener: the admin still lets them on to the second step."""
    known = dev_env.load(instance.directory / "dev.env")
    person = Person("", known["ADMIN_EMAIL"], known["ADMIN_PASSWORD"])
    guess_everywhere(instance, person.email)
    report.require(sign_in(instance, person, random_address()).status == 429, "the account does not pause")
    status = admin_sign_in(instance, person, random_address())
    report.line("the superuser at the admin", status)
    report.require(status == 302, f"a superuser is shut out of the admin: {status}")


def a_flood_of_mails(instance: Instance, sink: MailSink, report: Report) -> None:
    """Request resets and confirmations for hundreds of mailboxes from one address; someone else's notice must still
    arrive.
    """
    victims, (other,) = [person.email for person in instance.people(MAILS // 2)], instance.people(1)
    signed_in(instance, other, "198.51.100.7")
    nobody = [f"nobody-{secrets.token_hex(8)}@attack.example" for _ in range(MAILS // 2)]
    here = random_address()
    jobs = [lambda caller, email=email: ask_for_mail(caller, email) for email in (*victims, *nobody)]
    random.shuffle(jobs)
    answers = at_once(jobs, lambda: Caller(instance.ports["web"], address=here), clients=CLIENTS)
    statuses = Counter(answer.status for answer in answers)
    signed_in(instance, other, random_address())
    waited = await_mails(sink, [other.email], within=60)
    report.line(f"{MAILS} asked for", *(f"{count} x {status}" for status, count in statuses.most_common()))
    report.line("another person's notice", f"{waited:.1f} s")
    report.require(statuses[202] <= 60, f"one network had {statuses[202]} mails sent")
    report.require(waited < PATIENCE, f"another person's notice came after {waited:.1f} s")
    nobodys = "SELECT count(*) FROM accounts_outboxmessage WHERE user_id IS NULL"
    with contextlib.suppress(TimeoutError):
        instance.await_(lambda: instance.rows(nobodys) == [(0,)], "rows are left", within=60)
    kept = instance.rows(nobodys)
    report.line("rows of requests for nobody", kept[0][0])
    report.require(kept == [(0,)], f"{kept[0][0]} requests for nobody are kept")


def a_whole_network(instance: Instance, _sink: MailSink, report: Report) -> None:
    """Request mails from 120 /64s of one /48, against an hourly limit; then someone from another network tries."""
    customer = f"2001:db8:{random.randrange(1, 0xFFFF):x}"
    answers = [
        ask_for_mail(
            Caller(instance.ports["web"], address=f"{customer}:{number:x}00::1"),
            f"nobody-{number}@attack.example",
        )
        for number in range(120)
    ]
    taken = sum(answer.status == 202 for answer in answers)
    report.line("of one /48", f"{taken} of {len(answers)} requests taken")
    report.require(taken <= TAKEN_OF_ONE_48, f"{taken} requests of one /48 were taken")
    elsewhere = Caller(instance.ports["web"], address="2001:db8:0:1::1")
    answer = ask_for_mail(elsewhere, "nobody@attack.example")
    report.require(answer.status == 202, f"another /48 is shut out with it: {answer.status}")


def a_forged_address(instance: Instance, _sink: MailSink, report: Report) -> None:
    """Make up addresses at the admin, where no proxy is in front: they do not count as new clients."""
    email = f"nobody-{secrets.token_hex(4)}@attack.example"
    person = Person("", email, "wrong")
    statuses = Counter(admin_sign_in(instance, person, random_address()) for _ in range(2 * ADMIN_TRIES))
    report.line("tries at the admin", *(f"{count} x {status}" for status, count in statuses.items()))
    report.require(statuses[200] <= ADMIN_TRIES, f"{statuses[200]} tries were judged at the admin")


# ---------------------------------------------------------------- what strangers and owners do


def guess_everywhere(instance: Instance, email: str) -> None:
    """Send wrong passwords, each from a different network, until one is refused."""
    for _ in range(GUESSES):
        if guess(instance, email, random_address()).status == 429:
            return


def guess(instance: Instance, email: str, address: str) -> Answer:
    body = {"email": email, "password": secrets.token_urlsafe(12)}
    return patiently(Caller(instance.ports["web"], address=address), body)


def sign_in(
    instance: Instance, person: Person, address: str, password: str = "", *, device_token: str = ""
) -> Answer:
    body = {"email": person.email, "password": password or person.password}
    return patiently(
        Caller(instance.ports["web"], address=address),
        {**body, **({"device_token": device_token} if device_token else {})},
    )


def patiently(caller: Caller, body: dict[str, Any]) -> Answer:
    """Retry while the machine is busy."""
    answer = caller.post("/v1/auth/login", body)
    for _ in range(BUSY_REPEATS):
        if answer.status != 503:
            break
        time.sleep(0.5)
        answer = caller.post("/v1/auth/login", body)
    return answer


def signed_in(instance: Instance, person: Person, address: str) -> str:
    """Sign in from this address, and return the device's token."""
    answer = sign_in(instance, person, address)
    if not answer.done:
        raise SystemExit(f"The owner could not sign in: {answer.status} {answer.code}")
    return str(answer.body.get("device_token", ""))


def ask_for_mail(caller: Caller, email: str) -> Answer:
    call = random.choice(("password-reset-request", "resend-verification"))
    return caller.post(f"/v1/auth/{call}", {"email": email})


def admin_sign_in(instance: Instance, person: Person, address: str) -> int:
    """Take the first step at the admin, as a browser does; return the status of its answer."""
    browser, path = Pages(instance.ports["admin"], address=address), "/admin/login/?next=/admin/"
    fields = {"username": person.email, "password": person.password}
    for _ in range(BUSY_REPEATS):
        page = browser.get(path)
        token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        if (status := browser.submit(path, {**fields, "csrfmiddlewaretoken": token})) != 503:
            return status
        time.sleep(0.5)
    return 503
