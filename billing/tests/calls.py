"""The billing endpoints as a service calls them."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from tests.listeners import ListenerClient

Json = dict[str, Any]
RETURN = "https://shop.test/back"


class Shop:
    """A service with a key: `shop.post("subscriptions", user_id=..., plan="basic")`. Each POST has a fresh key."""

    def __init__(self, client: ListenerClient, key: str) -> None:
        self.client = client
        self.headers = {"X-API-Key": key}

    def post(self, path: str, *, key: str | None = None, **body: Any) -> Any:
        sent = {name: str(value) if name == "user_id" else value for name, value in body.items()}
        headers = {**self.headers, "Idempotency-Key": key or uuid4().hex}
        return self.client.post(f"/v1/billing/{path}", sent, headers=headers)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/v1/billing/{path}", query, headers=self.headers)

    def delete(self, path: str, **query: Any) -> Any:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return self.client.delete(f"/v1/billing/{path}?{text}", headers=self.headers)

    def checkout(self, user_id: Any, plan: str = "small", **more: Any) -> Any:
        urls = {"success_url": RETURN, "cancel_url": RETURN}
        return self.post("checkout-sessions", user_id=user_id, plan=plan, **{**urls, **more})

    def store_card(self, fake: Any, user_id: Any, card: str = "pm_card_visa") -> str:
        """By a setup intent, as a front end does it. The id of the payment method."""
        intent = self.post("setup-intents", user_id=user_id).json()
        confirmed = fake.confirm(intent["id"], card)
        if confirmed["status"] == "requires_action":
            fake.authenticate(intent["id"])
        return str(confirmed["payment_method"])


Refused = Callable[..., None]


def refused(answer: Any, status: int, code: str) -> Json:
    assert answer.status_code == status, answer.content
    problem: Json = answer.json()
    assert problem["code"] == code
    return problem
