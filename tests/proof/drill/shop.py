"""Acts as a shop that uses billing: plans, checkouts, and the fake Stripe at which people pay."""

import secrets
import time
from typing import Any

import fake_stripe_child
from calls import Answer, Caller
from instance import Instance, Person
from tests.fake_stripe.control import Control
from traffic import Traffic

Json = dict[str, Any]
REPEATS = 10
PACK, SUBSCRIPTION = "pack_small", "sub_basic"  # plans, and look-up keys of the fake's prices


class Shop:
    """A service that sells, and its customers' actions at Stripe."""

    def __init__(self, instance: Instance) -> None:
        self.traffic = Traffic(instance)
        self._back = f"http://127.0.0.1:{instance.ports['stripe']}/back"
        self.stripe = Control(
            f"http://127.0.0.1:{instance.ports['stripe']}", webhook_secret=fake_stripe_child.WEBHOOK_SECRET
        )
        status, said = instance.manage("sync_plans")
        if status:
            raise SystemExit(f"The plans could not be made:\n{said[-2000:]}")

    def order(self, person: Person, plan: str, *, key: str, caller: Caller | None = None) -> Answer:
        body = {"user_id": person.id, "plan": plan, "success_url": self._back, "cancel_url": self._back}
        sender = caller or self.traffic.caller()
        return sender.post("/v1/billing/checkout-sessions", body, {"Idempotency-Key": key})

    def subscribe(self, person: Person, *, key: str, caller: Caller) -> Answer:
        body = {"user_id": person.id, "plan": SUBSCRIPTION}
        return caller.post("/v1/billing/subscriptions", body, {"Idempotency-Key": key})

    def buy(self, person: Person, plan: str) -> Json:
        """Order, retrying with the same key after a 503 as the guides tell callers, and pay. Return Stripe's
        session.
        """
        key = secrets.token_hex(16)
        ordered = self.order(person, plan, key=key)
        for _ in range(REPEATS):
            if ordered.status != 503:
                break
            time.sleep(0.5)
            ordered = self.order(person, plan, key=key)
        if not ordered.done:
            raise LookupError(f"an order was answered {ordered.status} {ordered.body}")
        session: Json = self.stripe.pay_checkout(ordered.body["id"])["session"]
        return session

    def deliver(self, event: Json, caller: Caller) -> Answer:
        """Deliver an event now, as Stripe does."""
        body, signature = self.stripe.signed(event, at=int(time.time()))
        return caller.post("/v1/billing/webhook", body, {"Stripe-Signature": signature})
