"""F4, F5, F6, F21: the worker, the mail server, or the hand-over between web and worker fails."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable

import people
from calls import Answer
from instance import Instance
from mail_sink import MailSink
from people import Span, Watch
from reckoning import Verdict
from traffic import Traffic, at_once, percentile

MAILS, KILLS = 200, 20
COPIES = 2
WAITING = "SELECT count(*) FROM accounts_outboxmessage WHERE sent_at IS NULL AND dead_at IS NULL"
DEAD = """
SELECT t.email FROM accounts_outboxmessage m JOIN accounts_mailtoken t ON t.id = m.token_id
WHERE m.dead_at IS NOT NULL AND t.email = ANY(%s)
"""
SEND_AGAIN = """
from accounts.mail import send_again
from accounts.models import OutboxMessage
send_again(list(OutboxMessage.objects.filter(dead_at__isnull=False).values_list("pk", flat=True)), actor="drill")
"""
RELAY = """
import time
from accounts.mail import outbox
until = time.monotonic() + 25
while time.monotonic() < until:
    outbox.relay()
    time.sleep(0.2)
"""
# A kind that nobody knows: composing it raises whatever is tried.
POISON = """
INSERT INTO accounts_outboxmessage (id, kind, token_id, requested_email, attempts, last_error)
SELECT gen_random_uuid(), 'no_such_kind', id, '', 0, '' FROM accounts_mailtoken WHERE email = %s RETURNING id::text
"""
HURRY = "UPDATE accounts_outboxmessage SET due_at = clock_timestamp() WHERE id = %s RETURNING id"
IS_DEAD = "SELECT dead_at IS NOT NULL, attempts FROM accounts_outboxmessage WHERE id = %s"


# ---------------------------------------------------------------- F4


def worker_killed(instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Kill (-9) Celery's main process or one of its children alternately, in the middle of a mail."""
    sink.behave(before=0.25, after=0.1)
    registered: list[tuple[str, Answer]] = []
    crowd = threading.Thread(target=lambda: registered.extend(_register_crowd(instance)), daemon=True)
    crowd.start()
    kills = 0
    while kills < KILLS and sink.sending.wait(60):
        time.sleep(random.random() * 0.4)
        kills += kill_worker(instance, main=kills % 2 == 0)
    crowd.join(240)
    addresses = [email for email, _ in registered]
    verdict.count(answer for _, answer in registered)
    verdict.recovered(
        people.await_mails(sink, addresses, within=180), within=120, what="sending the last mail"
    )
    instance.await_(lambda: instance.rows(WAITING)[0][0] == 0, "mails are still waiting", within=60)
    verdict.require(kills == KILLS, f"only {kills} kills found a mail under way")
    _count_copies(sink, addresses, verdict, most=COPIES)


def _register_crowd(instance: Instance) -> list[tuple[str, Answer]]:
    made: list[tuple[str, Answer]] = at_once(
        [lambda _: people.register(instance, within=120)] * MAILS, lambda: people.caller(instance), clients=3
    )
    return made


def kill_worker(instance: Instance, *, main: bool) -> bool:
    children = instance.workers("worker")
    victims = [instance.process("worker")] if main else children
    if not children or not victims:
        return False
    try:
        os.kill(random.choice(victims), signal.SIGKILL)
    except ProcessLookupError:
        return False
    time.sleep(1)
    return True


def _count_copies(sink: MailSink, addresses: list[str], verdict: Verdict, *, most: int) -> None:
    wanted = set(addresses)
    copies = Counter(mail.to for mail in sink.mails if mail.to in wanted)
    ids = {(mail.to, mail.message_id) for mail in sink.mails if mail.to in wanted}
    missing = wanted - set(copies)
    verdict.lost += len(missing)
    verdict.doubled += sum(count > 1 for count in copies.values())
    verdict.require(not missing, f"{len(missing)} mails are lost")
    verdict.require(max(copies.values(), default=0) <= most, f"a mail came {max(copies.values())} times")
    verdict.require(len(ids) == len(copies), "copies of one mail differ in their Message-ID")
    verdict.notes.append(f"copies: {dict(sorted(Counter(copies.values()).items()))}")


# ---------------------------------------------------------------- F5


def mail_server_away(instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Make the mail server fail in each way: down, 4xx, silent, slow, 5xx, while balances are read and mails requested.

    Each breakage is compared with the seconds before it, in which as many people register.
    """
    watch = _watch(instance)
    usual, broken = [], []
    for name, breakage in _breakages(sink).items():
        usual.append(_registering(instance)[0])
        breakage()
        span, addresses = _registering(instance)
        broken.append(span)
        sink.behave()
        took = people.await_mails(sink, addresses, within=120)
        verdict.recovered(took, within=120, what=f"sending what waited ({name})")
        verdict.notes.append(f"{name}: all sent {took:.1f} s after its return")
    _refused_for_good(instance, sink, verdict)
    watch.stop()
    _compare(verdict, watch, usual, broken)


def _registering(instance: Instance) -> tuple[Span, list[str]]:
    """Spend some seconds with registrations, and return that span and their addresses."""
    started = time.monotonic()
    addresses = people.register_many(instance, 4)
    time.sleep(6)
    return (started, time.monotonic()), addresses


def _breakages(sink: MailSink) -> dict[str, Callable[[], None]]:
    return {
        "down": sink.close,
        "4xx": lambda: sink.behave(recipient=b"451 later"),
        "silent": lambda: sink.behave(silent=True),
        "slow": lambda: sink.behave(before=3.0, after=2.0),
    }


def _refused_for_good(instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Answer 5xx: the mail becomes a dead letter at once, and is sent when staff say so."""
    sink.behave(recipient=b"550 no such mailbox")
    addresses = people.register_many(instance, 4)
    instance.await_(
        lambda: len(instance.rows(DEAD, addresses)) == len(addresses), "5xx is no dead letter", within=30
    )
    sink.behave()
    status, said = instance.manage("shell", "-v0", "-c", SEND_AGAIN)
    verdict.require(status == 0, f"send_again failed: {said[-200:]}")
    took = people.await_mails(sink, addresses, within=60)
    verdict.recovered(took, within=60, what="sending the dead letters again")
    _count_copies(sink, addresses, verdict, most=1)


def _watch(instance: Instance) -> Watch:
    watch, services = Watch(), Traffic(instance).caller()
    person = instance.people(1)[0]
    device = people.caller(instance)
    numbers = iter(range(10**9))

    def ask_for_mail() -> Answer:
        body = {"email": f"nobody-{next(numbers)}@drill.example"}
        return device.post("/v1/auth/resend-verification", body)

    watch.every(0.1, "balance", lambda: services.get(f"/v1/credits/balance?user_id={person.id}"))
    watch.every(0.1, "resend", ask_for_mail)
    watch.every(1.5, "register", lambda: people.register(instance)[1])
    return watch


def _compare(verdict: Verdict, watch: Watch, usual: list[Span], broken: list[Span]) -> None:
    """Require p95 within 10 %, or 10 ms on a shared machine. Registrations are exempt: their time is that of the
    hash.
    """
    for kind in ("balance", "resend", "register"):
        before, during = watch.p95(kind, *usual), watch.p95(kind, *broken)
        failed, made = watch.failed(kind, *broken)
        verdict.notes.append(
            f"{kind}: p95 {before * 1000:.0f} ms before, {during * 1000:.0f} ms during; {failed} of {made} failed"
        )
        if kind != "register":
            verdict.require(during <= max(1.1 * before, before + 0.01), f"{kind} slowed down")
        verdict.require(not failed, f"{failed} x {kind} failed")
        verdict.count(watch.answers[kind])


# ---------------------------------------------------------------- F6


def lost_between_commit_and_queue(instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Silence the queue while people register, and kill the web processes before it answers again; then run three
    relays at once beside beat's, one of which is killed.
    """
    valkey = instance.process("valkey")
    os.kill(valkey, signal.SIGSTOP)
    try:
        addresses = people.register_many(instance, 8)
        os.kill(instance.process("web"), signal.SIGKILL)
        relays = [instance.command("shell", "-v0", "-c", RELAY) for _ in range(3)]
        time.sleep(2)
    finally:
        os.kill(valkey, signal.SIGCONT)
    killer = threading.Timer(2.0, relays[0].kill)
    killer.start()
    verdict.sent = verdict.acked = len(addresses)
    verdict.recovered(
        people.await_mails(sink, addresses, within=60), within=30, what="sending what was not handed over"
    )
    _end(relays)
    time.sleep(3)
    _count_copies(sink, addresses, verdict, most=1)
    instance.await_(lambda: instance.answers("web", "/readyz"), "the web processes are not back", within=30)


def _end(relays: list["subprocess.Popen[str]"]) -> None:
    for one in relays:
        try:
            one.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            one.kill()


# ---------------------------------------------------------------- F21


def always_raises(instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Give up a message that cannot be composed after its attempts; the time between them is skipped."""
    address = people.register_many(instance, 1)[0]
    people.await_mails(sink, [address], within=30)
    poison = str(instance.rows(POISON, address)[0][0])
    waits, dead, tries = [], False, 0
    for _ in range(16):
        instance.rows(HURRY, poison)
        other, answer = people.register(instance)
        verdict.count([answer])
        waits.append(people.await_mails(sink, [other], within=20))
        dead, tries = instance.rows(IS_DEAD, poison)[0]
        if dead:
            break
        time.sleep(4)
    verdict.recovered(max(waits), within=5, what="sending another mail")
    verdict.require(bool(dead), f"no dead letter after {tries} tries")
    verdict.notes.append(f"dead after {tries} tries; others sent in {percentile(waits, 0.5):.2f} s (median)")
