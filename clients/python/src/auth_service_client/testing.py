"""Helpers for the tests of services that use this package: signed-in users and signed deliveries."""

import base64
import json
import os
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from auth_service_client.errors import TokenRefused
from auth_service_client.tokens import Identity
from auth_service_client.webhooks import PREFIX, signature


def identity(**changes: Any) -> Identity:
    """Return a signed-in user with a verified address; the arguments replace fields."""
    said: dict[str, Any] = {
        "user_id": str(uuid4()),
        "session_id": str(uuid4()),
        "email_verified": True,
        "methods": ("pwd",),
        "expires_at": int(time.time()) + 3600,
        "status": "active",
    }
    return Identity(**{**said, **changes})


class AcceptedTokens:
    """A Verifier that accepts the tokens it has issued: `tokens = AcceptedTokens(); tokens.give(identity())`."""

    def __init__(self) -> None:
        self._identities: dict[str, Identity] = {}

    def give(self, who: Identity) -> str:
        """Return a token that is live until `revoke`."""
        token = f"test.{uuid4().hex}.token"
        self._identities[token] = who
        return token

    def revoke(self, token: str) -> None:
        del self._identities[token]

    def verify_token(self, token: str) -> Identity:
        try:
            return self._identities[token]
        except KeyError:
            raise TokenRefused("The access token is not live.") from None


def webhook_secret() -> str:
    """Return a secret like those that `event_subscription create` prints."""
    return PREFIX + base64.b64encode(os.urandom(32)).decode()


def signed_delivery(
    secret: str,
    type: str,
    data: Mapping[str, Any],
    *,
    user_id: str | None = None,
    id: int = 1,
    age: float = 0,
) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of a delivery, as the service would have sent it `age` seconds ago."""
    event = {
        "id": id,
        "type": type,
        "created_at": "2026-01-01T00:00:00Z",
        "user_id": user_id or str(uuid4()),
        "data": dict(data),
    }
    body = json.dumps(event).encode()
    message, at = f"evt_{id}", str(int(time.time() - age))
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return body, {
        "Content-Type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{signature(key, message, at, body)}",
    }
