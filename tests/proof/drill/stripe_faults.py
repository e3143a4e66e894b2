"""F7: Stripe fails, is silent, slow, or cuts its answer off after carrying out the request."""

import secrets
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from calls import Answer, Caller
from instance import Instance, Person
from mail_sink import MailSink
from people import Span, Watch, caller, login
from reckoning import Verdict
from shop import PACK, SUBSCRIPTION, Shop
from traffic import add, at_once, use

AT_ONCE = 6  # more than have places in a process, so that some are refused at once
UNAVAILABLE_WITHIN = 10.0
NOISE = 0.03  # seconds by which a doubled p95 may be missed on a shared machine
USUAL = 4.0  # seconds before each fault
REPEATS = 5
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "500 after it was done": {"status": 500, "committed": True},
    "429": {"status": 429},
    "refused": {"refuse": True},
    "cut after it was done": {"cut": True},
    "black hole": {"black_hole": True, "delay": 30},
    "slow, 30 s": {"delay": 30},
    "late, 30 s after it was done": {"late": 30},
}


def stripe_away(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Send six buyers at once for each fault and each kind of order; each repeats with the same key when it is over.

    Each fault is compared with the seconds before it, in which as many buyers order from a working Stripe.
    """
    shop = Shop(instance)
    buyers = iter(instance.people(3 * AT_ONCE * len(FAULTS)))
    watch = _watch(instance, shop)
    usual, broken, slowest = [], [], 0.0
    time.sleep(2)
    try:
        for name, fault in FAULTS.items():
            usual.append(_usual(shop, list(islice(buyers, AT_ONCE))))
            begun = time.monotonic()
            slowest = max(slowest, _checkouts(shop, list(islice(buyers, AT_ONCE)), name, fault, verdict))
            slowest = max(slowest, _subscriptions(shop, list(islice(buyers, AT_ONCE)), name, fault, verdict))
            broken.append((begun, time.monotonic()))
    finally:
        shop.stripe.clear_faults()
        watch.stop()
    verdict.recovery = slowest
    verdict.notes.append(f"{len(FAULTS)} faults; the slowest 503 took {slowest:.1f} s")
    _compare(verdict, watch, usual, broken)


def _usual(shop: Shop, people: list[Person]) -> Span:
    begun = time.monotonic()
    for order in (_checkout, _subscription):
        keys = [secrets.token_hex(16) for _ in people]
        at_once(
            [partial(order, shop, one, key) for one, key in zip(people, keys, strict=True)],
            shop.traffic.caller,
        )
    time.sleep(max(0.0, begun + USUAL - time.monotonic()))
    return begun, time.monotonic()


def _watch(instance: Instance, shop: Shop) -> Watch:
    """Watch endpoints that do not need Stripe."""
    watch, person = Watch(), instance.people(1)[0]
    services, seller, device = shop.traffic.caller(), shop.traffic.caller(), caller(instance)
    shop.traffic.send(add(person.id, 10_000), services)
    of_user = f"user_id={person.id}"
    watch.every(0.1, "balance", lambda: services.get(f"/v1/credits/balance?{of_user}"))
    watch.every(0.1, "use", partial(_use, shop, person, shop.traffic.caller()))
    watch.every(0.2, "billing status", lambda: seller.get(f"/v1/billing/status?{of_user}"))
    watch.every(1.0, "login", lambda: login(instance, person))
    watch.every(0.2, "livez", lambda: device.get("/livez"))
    return watch


def _use(shop: Shop, person: Person, caller: Caller) -> Answer:
    return shop.traffic.send(use(person.id), caller)


Order = Callable[[Shop, Person, str, Caller], Answer]


def _checkout(shop: Shop, person: Person, key: str, caller: Caller) -> Answer:
    return shop.order(person, PACK, key=key, caller=caller)


def _subscription(shop: Shop, person: Person, key: str, caller: Caller) -> Answer:
    return shop.subscribe(person, key=key, caller=caller)


def _checkouts(shop: Shop, people: list[Person], name: str, fault: dict[str, Any], verdict: Verdict) -> float:
    shop.stripe.fault(path="/v1/checkout/sessions", method="POST", times=AT_ONCE, **fault)
    what = f"{name}, checkout"
    return _insist(shop, people, _checkout, what=what, kind="checkout.session", verdict=verdict)


def _subscriptions(
    shop: Shop, people: list[Person], name: str, fault: dict[str, Any], verdict: Verdict
) -> float:
    shop.stripe.fault(path="/v1/subscriptions", method="POST", times=AT_ONCE, **fault)
    what = f"{name}, {SUBSCRIPTION}"
    return _insist(shop, people, _subscription, what=what, kind="subscription", verdict=verdict)


def _insist(
    shop: Shop, people: list[Person], order: Order, *, what: str, kind: str, verdict: Verdict
) -> float:
    """Order all at once, first while Stripe is broken, then with the same keys. Return how long the slowest 503
    took.
    """
    before = shop.stripe.count(kind)
    keys = [secrets.token_hex(16) for _ in people]
    calls = [partial(order, shop, person, key) for person, key in zip(people, keys, strict=True)]
    refused: list[Answer] = at_once(calls, shop.traffic.caller)
    shop.stripe.clear_faults()
    again: list[Answer] = at_once([partial(_repeat, call) for call in calls], shop.traffic.caller)
    for answers in (refused, again):
        verdict.count(answers)
    for answer in refused:
        right = answer.status == 503 and answer.code == "billing_unavailable"
        verdict.require(right, f"{what}: {answer.status} {answer.code} {answer.error} instead of a 503")
    slowest = max(answer.seconds for answer in refused)
    verdict.require(slowest <= UNAVAILABLE_WITHIN, f"{what}: a 503 took {slowest:.1f} s")
    failed = [f"{answer.status} {answer.code}" for answer in again if not answer.done]
    verdict.require(not failed, f"{what}: the repeats were answered {failed}")
    made = shop.stripe.count(kind) - before
    verdict.lost += max(len(people) - made, 0)
    verdict.doubled += max(made - len(people), 0)
    verdict.require(made == len(people), f"{what}: {len(people)} orders made {made} objects at Stripe")
    return slowest


def _repeat(call: Callable[[Caller], Answer], caller: Caller) -> Answer:
    """Retry as docs/guides/services.md tells callers: after a pause if it is 503."""
    answer = call(caller)
    for _ in range(REPEATS):
        if answer.status != 503:
            break
        time.sleep(1)
        answer = call(caller)
    return answer


def _compare(verdict: Verdict, watch: Watch, usual: list[Span], broken: list[Span]) -> None:
    for kind in ("balance", "use", "billing status", "login", "livez"):
        before, during = watch.p95(kind, *usual), watch.p95(kind, *broken)
        failed, made = watch.failed(kind, *broken)
        verdict.count(watch.answers[kind])
        verdict.require(not failed, f"{failed} of {made} x {kind} failed")
        verdict.require(
            during <= 2 * before + NOISE, f"p95 of {kind} went from {before:.3f} to {during:.3f} s"
        )
        verdict.notes.append(
            f"{kind}: p95 {before * 1000:.0f} ms before, {during * 1000:.0f} ms during; {failed} of {made} failed"
        )
