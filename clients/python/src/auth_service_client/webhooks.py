"""Verifying the events that the service sends by POST, signed by the Standard Webhooks scheme."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import cast

from auth_service_client.errors import WebhookRefused
from auth_service_client.events import Event

TOLERANCE = 300.0  # seconds, either way
MOST_DIGITS = 12  # of a timestamp: with many more, the subtraction would raise OverflowError
PREFIX = "whsec_"
LEAST_BYTES = 24  # of a secret, by Standard Webhooks; with an empty one anyone could sign


class Webhooks:
    """Verifies deliveries with a subscription's secrets: one, or both during a rotation."""

    def __init__(self, *secrets: str, tolerance: float = TOLERANCE) -> None:
        if not secrets:
            raise ValueError("Give the secret that event_subscription has printed.")
        self._keys: Sequence[bytes] = [_key(secret) for secret in secrets]
        self._tolerance = tolerance

    def verify(self, body: bytes | str, headers: Mapping[str, str]) -> Event:
        """Return the event of a delivery. Raise WebhookRefused if it is not valid.

        Pass `body` as it was received, as bytes or as their UTF-8 text: once parsed and serialised again, its signature
        differs. Events are delivered at least once: remember the event's `id`, or `webhook-id`, and answer 2xx within
        five seconds.
        """
        sent = body.encode(errors="surrogatepass") if isinstance(body, str) else body
        named = {name.lower(): value for name, value in headers.items()}
        try:
            message, at, signatures = (named[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        except KeyError as missing:
            raise WebhookRefused(f"The header {missing} is missing.") from None
        # Some servers pass bytes on as text that cannot be encoded again.
        if not f"{message}{at}{signatures}".isascii():
            raise WebhookRefused("No signature of the delivery is right.")
        is_time = at.isdecimal() and len(at) <= MOST_DIGITS
        if not is_time or abs(time.time() - int(at)) > self._tolerance:
            raise WebhookRefused("The delivery is too old, or a clock is wrong.")
        given = [one.removeprefix("v1,") for one in signatures.split() if one.startswith("v1,")]
        made = [signature(key, message, at, sent) for key in self._keys]
        if not any(hmac.compare_digest(one.encode(), ours.encode()) for one in given for ours in made):
            raise WebhookRefused("No signature of the delivery is right.")
        try:
            return cast("Event", json.loads(sent))
        except ValueError:
            raise WebhookRefused("The body is signed, but it is not JSON.") from None


def signature(key: bytes, message: str, at: str, body: bytes) -> str:
    """Return the part of the signature after `v1,` (Standard Webhooks)."""
    return base64.b64encode(hmac.digest(key, f"{message}.{at}.".encode() + body, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if len(key) < LEAST_BYTES:
        raise ValueError(
            "This is not a webhook's secret: it begins with whsec_, and 24 bytes or more follow."
        )
    return key
