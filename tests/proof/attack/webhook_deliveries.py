"""Deliveries to the webhook that are not from Stripe, too old, or not valid events: refused, and no row is left.

They run against the instance and its fake Stripe, whose signing secret we know, so that junk can be signed too.
"""

import gzip
import hashlib
import hmac
import json
import math
import secrets
import time
from collections import Counter
from typing import Any

import fake_stripe_child
import people
import raw_requests
from calls import Answer, Caller
from instance import Instance
from mail_sink import MailSink
from report import Report
from restarts import Listener
from tests.fake_stripe.bad_bodies import JUNK, event
from traffic import at_once

WEBHOOK = "/v1/billing/webhook"
SECRET = fake_stripe_child.WEBHOOK_SECRET
FOREIGN = ("", "None", "null", "whsec_", "whsec_of_another_endpoint", SECRET.upper(), SECRET + "\n", "\0")
TOLERANCE, PARALLEL = 300, 50
LONGEST = 3.0  # seconds for the worst junk
TAKEN, TOO_LARGE = (200, ""), (413, "body_too_large")
SIGNATURE, EVENT = (400, "signature_invalid"), (400, "event_invalid")
CONTENT_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/json; charset=utf-16",
    "",
    "x/;;=",
)
STORED = "SELECT count(*), coalesce(max(id), 0) FROM billing_inboxevent"
EFFECTS = """
SELECT (SELECT count(*) FROM credits_credittransaction), (SELECT count(*) FROM billing_payment),
       (SELECT count(*) FROM billing_customerlink), (SELECT count(*) FROM accounts_serviceevent)
"""
WAITING = "SELECT count(*) FROM billing_inboxevent WHERE event_id LIKE %s AND done_at IS NULL"

Result = tuple[int | None, str]


def what_stripe_never_sent(instance: Instance, _sink: MailSink, report: Report) -> None:
    trial = Trial(instance, report)
    for name, attack in {
        "Stripe's own": own,
        "signatures": signatures,
        "signed too old or too new": moments,
        "other bytes than those signed": other_bytes,
        "junk, signed and not": junk,
        "content types": content_types,
        "on the wire": wire,
        "50 at once": duplicates,
        "unknown types": unknown_types,
        "without a secret": without_a_secret,
    }.items():
        trial.answers.clear()
        attack(trial)
        counts = (f"{count} x {what}" for what, count in trial.answers.most_common())
        report.line(name, trial.answers.total(), *counts)
    report.line("slowest junk", f"{trial.slowest:.2f} s", "rows left by what was refused", trial.left)


def signature(body: bytes, *, secret: str = SECRET, at: int | None = None, scheme: str = "v1") -> str:
    moment = int(time.time()) if at is None else at
    return f"t={moment},{scheme}={mac(body, secret=secret, at=moment)}"


def mac(body: bytes, *, secret: str = SECRET, at: int) -> str:
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()


class Trial:
    """Records the answers, and whether a row is left behind that should not be."""

    def __init__(self, instance: Instance, report: Report) -> None:
        self.instance, self.report = instance, report
        self.answers: Counter[str] = Counter()
        self.tag, self.slowest, self.left = secrets.token_hex(4), 0.0, 0
        self.device = Caller(instance.ports["web"])

    def event(self, **fields: Any) -> dict[str, Any]:
        return event(f"evt_{self.tag}_{secrets.token_hex(6)}", **fields)

    def body(self, **fields: Any) -> bytes:
        return json.dumps(self.event(**fields)).encode()

    def post(self, body: bytes, header: str | None, **headers: str) -> Answer:
        signed = {} if header is None else {"Stripe-Signature": header}
        return self.device.post(WEBHOOK, body, {**signed, **headers})

    def stored(self) -> tuple[int, int]:
        count, newest = self.instance.rows(STORED)[0]
        return int(count), int(newest)

    def judge(self, name: str, result: Result, wanted: Result, *, before: tuple[int, int]) -> None:
        """Check a result. Without a proxy, a client still sending too large a body may see the close before the
        refusal.
        """
        self.answers[f"{result[0]} {result[1]}".strip()] += 1
        cut_while_sending = wanted == TOO_LARGE and result == (None, "")
        self.report.require(result == wanted or cut_while_sending, f"{name}: answered {result}, not {wanted}")
        more = self.stored()[0] - before[0]
        self.left += more if wanted != TAKEN else 0
        self.report.require(more == (wanted == TAKEN), f"{name}: {more} rows more")

    def sent(self, name: str, body: bytes, header: str | None, wanted: Result, **headers: str) -> Answer:
        before = self.stored()
        answer = self.post(body, header, **headers)
        self.judge(name, (answer.status, answer.code), wanted, before=before)
        return answer


# ---------------------------------------------------------------- signatures


def own(trial: Trial) -> None:
    body = trial.body()
    at = int(time.time())
    good = mac(body, at=at)
    trial.sent("a good one", body, f"t={at},v1={good}", TAKEN)
    for name, header in {
        "with a v0": "t={at},v1={good},v0=" + "f" * 64,
        "after one that is wrong": f"t={{at}},v1={'0' * 64},v1={{good}}",
        "before one that is wrong": f"t={{at}},v1={{good}},v1={'0' * 64}",
        "with an unknown scheme": "t={at},v2=abc,v1={good}",
    }.items():
        body = trial.body()
        trial.sent(name, body, header.format(at=at, good=mac(body, at=at)), TAKEN)


def signatures(trial: Trial) -> None:
    for secret in FOREIGN:
        body = trial.body()
        trial.sent(f"secret {secret!r}", body, signature(body, secret=secret), SIGNATURE)
    for scheme in ("v0", "V1", "v2", "v1 ", "v", ""):
        body = trial.body()
        trial.sent(f"scheme {scheme!r}", body, signature(body, scheme=scheme), SIGNATURE)
    body, at = trial.body(), int(time.time())
    good, wrong = mac(body, at=at), ",".join(f"v1={number:064d}" for number in range(50))
    for header in (
        None, "", "t=", "v1=", f"v1={good}", f"t={at}", f"t={at},v1=", f"t={at},t={at},v1={good}", f"t=+{at},v1={good}",
        f"t={at}.0,v1={good}", f"t=0x1,v1={good}", "t=-1,v1=00", f"t={'9' * 5000},v1={good}", ",,,,", "=,=", "garbage",
        f"t={at},v1={good[:-1]}", f"t={at},v1={good}0", f"t={at},v1={good.upper()}", f"t={at},v1={good}\xff",
        f"t={at};v1={good}", f"t={at},{wrong}", f"t={at},{wrong},v1={good}", f"t={at},v1={SECRET}",
    ):  # fmt: skip
        trial.sent(f"header {header!r:.60}", body, header, SIGNATURE)
    trial.sent("all the same: the good one", body, f"t={at},v1={good}", TAKEN)


def moments(trial: Trial) -> None:
    now = time.time()
    wanted = {
        int(now) - TOLERANCE - 1: SIGNATURE,
        math.ceil(now) + TOLERANCE + 1: SIGNATURE,
        0: SIGNATURE,
        int(now) - 86_400: SIGNATURE,
        int(now) + 86_400: SIGNATURE,
        int(now) - TOLERANCE + 20: TAKEN,
        int(now) + TOLERANCE - 20: TAKEN,
    }
    for at, result in wanted.items():
        body = trial.body()
        trial.sent(f"{at - now:+.0f} s", body, signature(body, at=at), result)
    body, old = trial.body(), int(now) - 1000
    moved = f"t={int(time.time())},v1={mac(body, at=old)}"
    trial.sent("an old signature with a new time", body, moved, SIGNATURE)


def other_bytes(trial: Trial) -> None:
    """Flip one bit of some bytes, and write the same meaning differently."""
    sent = trial.event()
    body = json.dumps(sent).encode()
    for place in range(0, len(body), 7):
        changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        trial.sent(f"byte {place} changed", changed, signature(body), SIGNATURE)
    for name, other in {
        "indented": json.dumps(sent, indent=1),
        "sorted": json.dumps(sent, sort_keys=True),
        "without spaces": json.dumps(sent, separators=(",", ":")),
        "with a line break": json.dumps(sent) + "\n",
        "with a byte order mark": "\ufeff" + json.dumps(sent),
    }.items():
        trial.sent(name, other.encode(), signature(body), SIGNATURE)
    trial.sent("in UTF-16", json.dumps(sent).encode("utf-16"), signature(body), SIGNATURE)
    trial.sent("and as it was", body, signature(body), TAKEN)


# ---------------------------------------------------------------- junk


def junk(trial: Trial) -> None:
    bodies = {
        **JUNK,
        "of the other mode": trial.body(livemode=True),
        "gzip": gzip.compress(trial.body()),
        "a megabyte of lists": b"[" * 2**19 + b"]" * 2**19,
        "a megabyte of names": b"{" + b'"a":1,' * 170_000 + b'"b":1}',
    }
    for name, body in bodies.items():
        for signed, wanted in ((f"t={int(time.time())},v1={'0' * 64}", SIGNATURE), (signature(body), EVENT)):
            encoding = {"Content-Encoding": "gzip"} if name == "gzip" else {}
            trial.slowest = max(
                trial.slowest, trial.sent(f"{name}, {wanted[1]}", body, signed, wanted, **encoding).seconds
            )
    for size in (2**20 + 1, 2**21):
        large = b" " * size
        answers = [
            trial.sent(f"{size} bytes", large, header, TOO_LARGE) for header in (None, signature(large))
        ]
        trial.slowest = max(trial.slowest, *(answer.seconds for answer in answers))
    trial.report.require(trial.slowest < LONGEST, f"junk took {trial.slowest:.1f} s")


def content_types(trial: Trial) -> None:
    """Try various content types: they change nothing; a valid event is accepted, junk is not."""
    for content_type in CONTENT_TYPES:
        body = trial.body()
        named = {"Content-Type": content_type}
        trial.sent(f"{content_type!r}, junk", b"a=b", signature(b"a=b"), EVENT, **named)
        trial.sent(f"{content_type!r}, unsigned", body, None, SIGNATURE, **named)
        trial.sent(f"{content_type!r}, good", body, signature(body), TAKEN, **named)


def wire(trial: Trial) -> None:
    """Send what clients do not: chunks, false lengths, a header twice. Each has a good body and signature."""
    for name, (make, wanted) in raw_requests.SHAPES.items():
        body = trial.body()
        before = trial.stored()
        request = make(WEBHOOK, body, {"Stripe-Signature": signature(body)})
        result = raw_requests.exchange(trial.instance.ports["web"], request)
        trial.judge(name, result, wanted, before=before)


# ---------------------------------------------------------------- what is taken


def duplicates(trial: Trial) -> None:
    before, body = trial.stored(), trial.body()
    jobs = [lambda caller: caller.post(WEBHOOK, body, {"Stripe-Signature": signature(body)})] * PARALLEL
    answers: list[Answer] = at_once(jobs, lambda: people.caller(trial.instance))
    trial.answers.update(str(answer.status) for answer in answers)
    more = trial.stored()[0] - before[0]
    trial.report.require(more == 1, f"{PARALLEL} at once left {more} rows")
    strange = {answer.status for answer in answers} - {200}
    trial.report.require(not strange, f"{PARALLEL} at once: answered {sorted(map(str, strange))}")


def unknown_types(trial: Trial) -> None:
    """Send types for which there is no handler: they are accepted, and have no effect."""
    before = trial.instance.rows(EFFECTS)
    for type_ in (
        "who.knows",
        "invoice",
        "customer.subscription.created.",
        "charge.refunded\u00e9"[:-1] + "x",
    ):
        body = trial.body(type=type_)
        trial.sent(type_, body, signature(body), TAKEN)
    like = f"evt\\_{trial.tag}\\_%"
    waited = trial.instance.await_(
        lambda: trial.instance.rows(WAITING, like) == [(0,)], "events were not carried out", within=60
    )
    after = trial.instance.rows(EFFECTS)
    trial.report.require(after == before, f"journal, payments, customers, events: {before} -> {after}")
    trial.report.line(
        "all carried out", f"after {waited:.1f} s", "effects", "none" if after == before else "some"
    )


def without_a_secret(trial: Trial) -> None:
    """Start a listener without a secret: the path does not exist, whatever signs."""
    listener = Listener(trial.instance, name="public", STRIPE_WEBHOOK_SECRETS="")
    try:
        trial.instance.await_(listener.live, "the listener did not start", within=60)
        trial.device = Caller(listener.port)
        for secret in ("", "None", SECRET):
            body = trial.body()
            trial.sent(
                f"no secret, signed by {secret!r}", body, signature(body, secret=secret), (404, "not_found")
            )
    finally:
        listener.end()
        trial.device = Caller(trial.instance.ports["web"])
