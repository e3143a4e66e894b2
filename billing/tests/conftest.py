"""What the tests of billing share: signed events, and the webhook as Stripe calls it."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from tests.listeners import ListenerClient

SECRET = "whsec_test_only_4b1d0f7a92c34e"
WEBHOOK = "/v1/billing/webhook"
_numbers = count(1)


def signature(body: bytes, *, secret: str = SECRET, at: float | None = None, scheme: str = "v1") -> str:
    moment = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()
    return f"t={moment},{scheme}={mac}"


def event(type: str = "test.happened", item: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{next(_numbers)}",
        "object": "event",
        "type": type,
        "created": int(time.time()),
        "livemode": False,
        "api_version": "2026-05-27.dahlia",
        "data": {"object": item if item is not None else {"object": "thing", "id": "th_1"}},
        "request": {"id": None, "idempotency_key": None},
        "pending_webhooks": 1,
        **fields,
    }


@pytest.fixture
def webhook_secret(settings) -> str:
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    return SECRET


@pytest.fixture
def deliver(public: ListenerClient, webhook_secret: str) -> Callable[..., Any]:
    """`deliver(event)`: as Stripe does it, signed; `deliver(raw=b"...", header="...")` as anybody else does."""

    def post(
        sent: dict[str, Any] | None = None, *, raw: bytes | None = None, header: str | None = None
    ) -> Any:
        body = json.dumps(sent).encode() if raw is None else raw
        return public.raw(
            "POST", WEBHOOK, body, HTTP_STRIPE_SIGNATURE=signature(body) if header is None else header
        )

    return post
