"""All state of one fake account, behind one lock, with a clock that can be moved forward."""

import copy
import secrets
import string
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.fake_stripe.kinds import API_VERSION, make
from tests.fake_stripe.wire import Json, Refusal, missing

ALPHABET = string.ascii_letters + string.digits
PREFIXES = {
    "balance_transaction": "txn",
    "billing_portal.configuration": "bpc",
    "billing_portal.session": "bps",
    "charge": "ch",
    "checkout.session": "cs_test",
    "coupon": "coupon",
    "credit_note": "cn",
    "credit_note_line_item": "cnli",
    "customer": "cus",
    "customer_balance_transaction": "cbtxn",
    "dispute": "du",
    "event": "evt",
    "invoice": "in",
    "invoice_payment": "inpay",
    "invoiceitem": "ii",
    "item": "li",
    "line_item": "il",
    "payment_intent": "pi",
    "payment_method": "pm",
    "price": "price",
    "product": "prod",
    "refund": "re",
    "setup_intent": "seti",
    "subscription": "sub",
    "subscription_item": "si",
    "subscription_schedule": "sub_sched",
    "webhook_endpoint": "we",
}


class Store:
    """Objects by kind and id, in wire format; `private` holds what Stripe knows but does not show."""

    def __init__(self, announce: Callable[[Json], None]) -> None:
        self.lock = threading.RLock()
        self.announce = announce
        self.public_url = ""
        self.clear()

    def clear(self) -> None:
        self.tables: dict[str, dict[str, Json]] = defaultdict(dict)
        self.private: dict[str, Json] = defaultdict(dict)
        self.deleted: dict[str, Json] = {}
        self.offset = 0
        self.request: Json = {"id": None, "idempotency_key": None}
        self.settings: Json = {
            "search_lag": 0,
            "dunning_days": [3, 5, 7],
            "dunning_end": "cancel",
            "tax_percent": 0,
        }

    def now(self) -> int:
        return int(time.time()) + self.offset

    def move_to(self, moment: int) -> None:
        """Move the clock, only forward, like Stripe's test clocks."""
        self.offset = max(self.offset, moment - int(time.time()))

    def new_id(self, kind: str) -> str:
        return f"{PREFIXES[kind]}_{''.join(secrets.choice(ALPHABET) for _ in range(24))}"

    def add(self, kind: str, **values: Any) -> Json:
        """Insert a new object, with a new `id` and `created` unless they are given."""
        values["id"] = values.get("id") or self.new_id(kind)
        if kind not in {"invoiceitem", "item", "line_item"}:
            values.setdefault("created", self.now())
        self.tables[kind][values["id"]] = built = make(kind, **values)
        return built

    def get(self, kind: str, identifier: object, *, param: str = "id") -> Json:
        """Return an object, or raise 404 for an id in the path and 400 for one in a parameter."""
        found = self.tables[kind].get(str(identifier))
        if found is None:
            raise missing(kind, identifier, param=param, status=404 if param == "id" else 400)
        return found

    def find(self, identifier: str) -> Json | None:
        return next((table[identifier] for table in self.tables.values() if identifier in table), None)

    def all(self, kind: str, **fields: Any) -> list[Json]:
        """Return the matching objects, oldest first."""
        rows = self.tables[kind].values()
        return [row for row in rows if all(row.get(name) == value for name, value in fields.items())]

    def emit(self, type_: str, subject: Json, previous: Json | None = None) -> None:
        data = {"object": copy.deepcopy(subject)}
        if previous is not None:
            data["previous_attributes"] = previous
        endpoints = self.all("webhook_endpoint", status="enabled")
        event = self.add(
            "event",
            type=type_,
            api_version=API_VERSION,
            data=data,
            pending_webhooks=len(endpoints),
            request=dict(self.request),
        )
        self.announce(event)

    def change(self, subject: Json, event: str, **changes: Any) -> None:
        """Set fields and emit the event, unless nothing differs."""
        previous = {name: subject.get(name) for name, value in changes.items() if subject.get(name) != value}
        if previous:
            previous = copy.deepcopy(previous)
            subject.update(changes)
            self.emit(event, subject, previous)


def merged(metadata: Json | None, given: Json | str | None) -> Json:
    """Merge metadata as Stripe does: keys are merged, an empty value removes its key, an empty string removes all."""
    if given == "":
        return {}
    both = {**(metadata or {}), **(given if isinstance(given, dict) else {})}
    kept = {name: value for name, value in both.items() if value != ""}
    if len(kept) > 50 or any(len(name) > 40 or len(value) > 500 for name, value in kept.items()):
        raise Refusal("Metadata: at most 50 keys of 40 characters, values of 500.", param="metadata")
    return kept
