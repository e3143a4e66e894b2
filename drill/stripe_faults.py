"""F7: Stripe fails, is silent, slow, or cuts its answer off after it did what was asked."""

import secrets
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from calls import Answer, Caller
from instance import Instance, Person
from mail_sink import MailSink
from people import Watch, caller, login
from reckoning import Verdict
from shop import PACK, SUBSCRIPTION, Shop
from traffic import add, at_once, use

AT_ONCE = 3
UNAVAILABLE_WITHIN = 10.0
NOISE = 0.03  # seconds by which a doubled p95 may be missed on a shared machine
USUAL = 8.0  # seconds
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
    """Three buyers at once for each fault and each kind of order; each repeats with the same key when it is over."""
    shop = Shop(instance)
    buyers = iter(instance.people(2 * AT_ONCE * len(FAULTS)))
    watch = _watch(instance, shop)
    time.sleep(2)
    begun = time.monotonic()
    time.sleep(USUAL)
    broken = time.monotonic()
    slowest = 0.0
    try:
        for name, fault in FAULTS.items():
            slowest = max(slowest, _checkouts(shop, list(islice(buyers, AT_ONCE)), name, fault, verdict))
            slowest = max(slowest, _subscriptions(shop, list(islice(buyers, AT_ONCE)), name, fault, verdict))
    finally:
        shop.stripe.clear_faults()
    back = time.monotonic()
    watch.stop()
    verdict.recovery = slowest
    verdict.notes.append(f"{len(FAULTS)} faults; the slowest 503 took {slowest:.1f} s")
    _compare(verdict, watch, (begun, broken), (broken, back))


def _watch(instance: Instance, shop: Shop) -> Watch:
    """Endpoints that need no Stripe."""
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


Order = Callable[[Person, str, Caller], Answer]


def _checkouts(shop: Shop, people: list[Person], name: str, fault: dict[str, Any], verdict: Verdict) -> float:
    def order(person: Person, key: str, caller: Caller) -> Answer:
        return shop.order(person, PACK, key=key, caller=caller)

    shop.stripe.fault(path="/v1/checkout/sessions", method="POST", times=AT_ONCE, **fault)
    return _insist(shop, people, order, what=f"{name}, checkout", kind="checkout.session", verdict=verdict)


def _subscriptions(
    shop: Shop, people: list[Person], name: str, fault: dict[str, Any], verdict: Verdict
) -> float:
    def order(person: Person, key: str, caller: Caller) -> Answer:
        return shop.subscribe(person, key=key, caller=caller)

    shop.stripe.fault(path="/v1/subscriptions", method="POST", times=AT_ONCE, **fault)
    return _insist(shop, people, order, what=f"{name}, {SUBSCRIPTION}", kind="subscription", verdict=verdict)


def _insist(
    shop: Shop, people: list[Person], order: Order, *, what: str, kind: str, verdict: Verdict
) -> float:
    """All at once, first while it is broken, then with the same keys. Returns how long the slowest 503 took."""
    before = shop.stripe.count(kind)
    keys = [secrets.token_hex(16) for _ in people]
    calls = [partial(order, person, key) for person, key in zip(people, keys, strict=True)]
    refused: list[Answer] = at_once(calls, shop.traffic.caller)
    shop.stripe.clear_faults()
    again: list[Answer] = at_once(calls, shop.traffic.caller)
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


def _compare(verdict: Verdict, watch: Watch, usual: tuple[float, float], broken: tuple[float, float]) -> None:
    for kind in ("balance", "use", "billing status", "login", "livez"):
        before, during = watch.p95(kind, usual), watch.p95(kind, broken)
        failed, made = watch.failed(kind, broken)
        verdict.count(watch.answers[kind])
        verdict.require(not failed, f"{failed} of {made} x {kind} failed")
        verdict.require(
            during <= 2 * before + NOISE, f"p95 of {kind} went from {before:.3f} to {during:.3f} s"
        )
        verdict.notes.append(
            f"{kind}: p95 {before * 1000:.0f} ms before, {during * 1000:.0f} ms during; {failed} of {made} failed"
        )
