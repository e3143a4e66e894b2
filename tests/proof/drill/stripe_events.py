"""F8, F9: Stripe delivers an event many times, and related events in any order."""

import os
import random
import time
from functools import partial
from typing import Any

import people
from calls import Answer
from instance import Instance, Person
from mail_sink import MailSink
from reckoning import Verdict, verify_ledger
from shop import PACK, SUBSCRIPTION, Json, Shop
from traffic import at_once, percentile

TIMES = 100
ORDERS = int(os.environ.get("DRILL_ORDERS", "40"))
REPEATED = 0.2
TYPES = frozenset(
    {
        "payment_intent.succeeded",
        "checkout.session.completed",
        "invoice.paid",
        "charge.refunded",
        "charge.dispute.created",
        "charge.dispute.closed",
    }
)
REFUNDED, LEFT = 125, 375  # of a pack of 500 credits for 500 cents

JOURNAL = "SELECT type, amount FROM credits_credittransaction WHERE holder_id = %s"
STORED = "SELECT count(*) FROM billing_inboxevent WHERE event_id = %s"
WAITING = "SELECT count(*) FROM billing_inboxevent WHERE event_id = ANY(%s) AND done_at IS NULL"
STATE = """
SELECT c.holder_id::text, c.balance, c.held, c.debt, c.blocked::text, a.status, (
    SELECT array_agg(concat_ws(' ', l.source, l.issued, l.charged_back) ORDER BY l.source, l.issued)
    FROM credits_creditlot l WHERE l.holder_id = c.holder_id
), (
    SELECT array_agg(concat_ws(' ', p.kind, p.credits, p.paid, p.kept) ORDER BY p.kind)
    FROM billing_payment p WHERE p.user_id = c.holder_id
)
FROM credits_usercredit c LEFT JOIN billing_billingaccount a ON a.user_id = c.holder_id
WHERE c.holder_id = ANY(%s::uuid[])
"""


def one_event_200_times(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Deliver a payment's event 100 times in parallel and 100 times in a row: one row, one purchase."""
    shop, person = Shop(instance), instance.people(1)[0]
    shop.stripe.webhooks(hold=True)
    try:
        intent = shop.buy(person, PACK)["payment_intent"]
        event = next(
            e for e in _events(shop, {"payment_intent.succeeded"}) if e["data"]["object"]["id"] == intent
        )
        device = partial(people.caller, instance)
        deliver = partial(shop.deliver, event)
        parallel = at_once([deliver] * TIMES, device)
        one = device()
        in_a_row = [deliver(one) for _ in range(TIMES)]
    finally:
        shop.stripe.webhooks(hold=False)
    for name, answers in {"in parallel": parallel, "in a row": in_a_row}.items():
        _judge(name, answers, verdict)
    instance.await_(lambda: _are_done(instance, [event]), "the event was not carried out", within=30)
    time.sleep(6)  # another round of the worker, which would repeat what it may not
    journal = instance.rows(JOURNAL, person.id)
    verdict.doubled += max(len(journal) - 1, 0)
    verdict.require(journal == [("purchase", 500)], f"its effect is {journal}")
    verdict.require(instance.rows(STORED, event["id"]) == [(1,)], "it was stored more than once")
    verify_ledger(verdict, shop.traffic)


def _judge(name: str, answers: list[Answer], verdict: Verdict) -> None:
    verdict.count(answers)
    p95 = percentile([answer.seconds for answer in answers], 0.95)
    verdict.require(all(answer.done for answer in answers), f"{name}: not all were taken")
    verdict.require(p95 < 1, f"{name}: p95 {p95:.2f} s")
    verdict.notes.append(
        f"{name}: {sum(a.done for a in answers)} of {len(answers)} taken, p95 {p95 * 1000:.0f} ms"
    )


def any_order(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Give many buyers the same story, each with the events in a different order and some of them twice.

    A pack is partly refunded, and a subscription's payment is disputed and lost; the outcome is the same for all.
    """
    shop, buyers = Shop(instance), instance.people(ORDERS)
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    shop.stripe.webhooks(hold=True)
    try:
        begun = time.monotonic()
        at_once([lambda _, buyer=one: _story(shop, buyer) for one in buyers], shop.traffic.caller, clients=4)  # type: ignore[misc]
        orders = _orders(shop, buyers, chance)
        verdict.notes.append(
            f"seed {seed}; {time.monotonic() - begun:.0f} s to make the stories of {len(orders)} buyers"
        )
        answers = at_once(
            [partial(_deliver_all, shop, order) for order in orders],
            lambda: people.caller(instance),
            clients=4,
        )
    finally:
        shop.stripe.webhooks(hold=False)
    delivered = [answer for some in answers for answer in some]
    verdict.count(delivered)
    verdict.require(all(answer.done for answer in delivered), "not all were taken")
    events = [event for order in orders for event in order]
    took = instance.await_(
        lambda: _are_done(instance, events), "events were not carried out", within=60 + 5 * ORDERS
    )
    verdict.notes.append(f"the last was carried out {took:.0f} s after its delivery")
    _compare(instance, buyers, verdict)
    verify_ledger(verdict, shop.traffic)


def _story(shop: Shop, buyer: Person) -> None:
    pack, subscription = shop.buy(buyer, PACK), shop.buy(buyer, SUBSCRIPTION)
    charges = {
        c["amount"]: c["id"] for c in shop.stripe.objects("charge") if c["customer"] == pack["customer"]
    }
    shop.stripe.refund(charges[pack["amount_total"]], REFUNDED)
    dispute = shop.stripe.dispute(charges[subscription["amount_total"]])
    shop.stripe.close_dispute(dispute["id"], "lost")


def _events(shop: Shop, types: frozenset[str] | set[str]) -> list[Json]:
    return shop.stripe.events(*types)


def _orders(shop: Shop, buyers: list[Person], chance: random.Random) -> list[list[Json]]:
    """Return each buyer's events, shuffled, with some of them repeated anywhere."""
    charges = {charge["id"]: charge["customer"] for charge in shop.stripe.objects("charge")}
    told: dict[str, list[Json]] = {customer: [] for customer in _customers(shop.traffic.instance, buyers)}
    for event in _events(shop, TYPES):
        item = event["data"]["object"]
        told.get(item.get("customer") or charges.get(item.get("charge"), ""), []).append(event)
    return [_shuffled(events, chance) for events in told.values()]


def _shuffled(events: list[Json], chance: random.Random) -> list[Json]:
    repeated = chance.sample(events, round(len(events) * REPEATED))
    return chance.sample([*events, *repeated], len(events) + len(repeated))


def _customers(instance: Instance, buyers: list[Person]) -> list[str]:
    links = "SELECT customer FROM billing_customerlink WHERE user_id = ANY(%s::uuid[])"
    return [customer for (customer,) in instance.rows(links, [buyer.id for buyer in buyers])]


def _deliver_all(shop: Shop, events: list[Json], caller: Any) -> list[Answer]:
    return [shop.deliver(event, caller) for event in events]


def _are_done(instance: Instance, events: list[Json]) -> bool:
    return instance.rows(WAITING, [event["id"] for event in events]) == [(0,)]


def _compare(instance: Instance, buyers: list[Person], verdict: Verdict) -> None:
    states = {user: state for user, *state in instance.rows(STATE, [buyer.id for buyer in buyers])}
    different = {str(state) for state in states.values()}
    verdict.lost += len(buyers) - len(states)
    verdict.require(len(states) == len(buyers), f"{len(buyers) - len(states)} buyers have nothing")
    verdict.require(len(different) == 1, f"{len(different)} final states: {sorted(different)[:3]}")
    verdict.require(all(state[0] == LEFT for state in states.values()), f"the balance is not {LEFT}")
    verdict.notes.append(
        f"{len(states)} orders ended in {len(different)} state(s): {next(iter(different), '')}"
    )
