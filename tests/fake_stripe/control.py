"""Drives the fake from tests: the fake's control API as methods."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from tests.fake_stripe.webhooks import signature
from tests.fake_stripe.wire import Json, encode


class Control:
    """`fake.pay_checkout(session=...)`, `fake.advance(days=14)`: each action of control_routes as a method."""

    def __init__(self, url: str, *, webhook_secret: str = "") -> None:
        self.url = url
        self.webhook_secret = webhook_secret

    def call(self, name: str, **arguments: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310  (loopback)
            f"{self.url}/_control/{name}",
            data=json.dumps(arguments).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{name}: {error.read().decode()}") from error

    def reset(self) -> None:
        self.call("reset")

    def advance(self, *, seconds: int = 0, days: float = 0, to: int = 0) -> Json:
        return dict(self.call("advance", seconds=seconds, days=days, to=to))

    def renew(self, subscription: str) -> Json:
        return dict(self.call("renew", subscription=subscription))

    def settings(self, **values: Any) -> Json:
        return dict(self.call("settings", **values))

    def fault(self, **fields: Any) -> None:
        """Set a faults.Fault: `fault(path="/v1/refunds", cut=True)`, `fault(status=429, times=3)`."""
        self.call("fault", **fields)

    def faults(self) -> list[Json]:
        return list(self.call("faults"))

    def clear_faults(self) -> None:
        self.call("clear_faults")

    def webhooks(self, **rules: Any) -> Json:
        """Set webhooks.RULES: `webhooks(hold=True)`, `webhooks(drop=2)`, `webhooks(copies=3, parallel=True)`."""
        return dict(self.call("webhooks", **rules))

    def webhook_to(self, url: str, secret: str | None = None) -> None:
        """Send events to this URL as well from now on, signed with `webhook_secret` unless another secret is given."""
        self.call("webhook_to", url=url, secret=secret or self.webhook_secret)

    def release(
        self, *, order: Any = "kept", repeated: float = 0.0, seed: int | None = None, keep: bool = False
    ) -> int:
        """Send the held events (`keep`: and keep holding them): "kept", "reversed", "shuffled" or a list of event
        ids.
        """
        options = {"order": order, "repeated": repeated, "seed": seed, "keep": keep}
        return int(self.call("release", **options)["sent"])

    def signed(self, event: Json, *, secret: str | None = None, at: int | None = None) -> tuple[bytes, str]:
        """Return the body and the Stripe-Signature of a delivery, for a test that posts it itself."""
        body = encode(event)
        key = self.webhook_secret if secret is None else secret
        return body, signature(body, key, at=int(time.time()) if at is None else at)

    def settle(self, timeout: float = 20) -> bool:
        """Wait for all webhooks, and return whether each has been delivered or given up."""
        return bool(self.call("settle", timeout=timeout)["settled"])

    def deliver(self, event: str, *, secret: str | None = None, at: int | None = None) -> list[Any]:
        return list(self.call("deliver", event=event, secret=secret, at=at)["statuses"])

    def deliveries(self) -> list[Json]:
        return list(self.call("deliveries"))

    def requests(self) -> list[Json]:
        return list(self.call("requests"))

    def bugs(self) -> list[str]:
        return list(self.call("bugs"))

    def counts(self) -> Json:
        return dict(self.call("counts"))

    def count(self, kind: str) -> int:
        return int(self.counts()["objects"].get(kind, 0))

    def objects(self, kind: str) -> list[Json]:
        """Return the objects of a kind, oldest first, in wire format."""
        return list(self.call("objects", kind=kind))

    def events(self, *types: str) -> list[Json]:
        return [event for event in self.objects("event") if not types or event["type"] in types]

    def pay_checkout(self, session: str, card: str = "pm_card_visa", *, authenticate: bool = True) -> Json:
        return dict(self.call("pay_checkout", session=session, card=card, authenticate=authenticate))

    def authenticate(self, intent: str, *, success: bool = True) -> Json:
        return dict(self.call("authenticate", intent=intent, success=success))

    def confirm(self, intent: str, card: str = "pm_card_visa") -> Json:
        return dict(self.call("confirm", intent=intent, card=card))

    def refund(self, charge: str, amount: int | None = None) -> Json:
        return dict(self.call("refund", charge=charge, amount=amount))

    def fail_refund(self, refund: str) -> Json:
        return dict(self.call("fail_refund", refund=refund))

    def dispute(
        self,
        charge: str,
        *,
        amount: int | None = None,
        reason: str = "fraudulent",
        inquiry: bool = False,
        currency: str | None = None,
    ) -> Json:
        options = {"amount": amount, "reason": reason, "inquiry": inquiry, "currency": currency}
        return dict(self.call("dispute", charge=charge, **options))

    def close_dispute(self, dispute: str, status: str = "won") -> Json:
        return dict(self.call("close_dispute", dispute=dispute, status=status))

    def portal_end(self, subscription: str, *, ends: bool = True) -> Json:
        return dict(self.call("portal_end", subscription=subscription, ends=ends))

    def break_card(self, payment_method: str, code: str | None = "generic_decline") -> None:
        self.call("break_card", payment_method=payment_method, code=code)

    def expire_card(self, payment_method: str) -> Json:
        return dict(self.call("expire_card", payment_method=payment_method))

    def emit(self, type_: str, subject: Json, previous: Json | None = None) -> Json:
        return dict(self.call("emit", type=type_, object=subject, previous=previous))
