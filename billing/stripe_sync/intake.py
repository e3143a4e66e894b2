"""Take in deliveries to the webhook: if one is Stripe's, fresh and an event, it goes into the inbox, once.

The signature is Stripe's scheme v1 (https://docs.stripe.com/webhooks#verify-manually): HMAC-SHA256 over the time-stamp,
a dot, and the bytes as received.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from django.conf import settings
from django.db import connection

from accounts.kit.nudge import Nudge
from accounts.kit.shapes import is_shallow
from billing.errors import EventInvalid, SignatureInvalid
from billing.stripe import shapes

TOLERANCE = 300  # seconds, in both directions
MOST_SIGNATURES = 20
DEEPEST = 32  # levels; Stripe's own objects have about a dozen
LATEST = 253402300799  # the last second of the year 9999

worker = Nudge("billing.tasks.work_inbox", gather=0.1)  # a task costs more than taking in an event

STORE = """
INSERT INTO billing_inboxevent (event_id, type, created, livemode, customer, about, body, attempts, last_error)
VALUES (%s, %s, to_timestamp(%s), %s, %s, %s, %s, 0, '')
ON CONFLICT (event_id) DO NOTHING RETURNING id
"""


class Data(msgspec.Struct):
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class Envelope(msgspec.Struct, tag_field="object", tag="event"):
    """The fields of every event. All others are read when it is settled."""

    id: str
    type: str
    created: int
    livemode: bool
    data: Data


# It lets someone's payment be confirmed. No handling of an event needs it, and a dump must not contain it.
_CLIENT_SECRET = re.compile(rb'("client_secret"[ \t\r\n]*:[ \t\r\n]*)"[^"\\]*"')
_decoder = msgspec.json.Decoder(Envelope)


def receive(body: bytes, signature: str) -> None:
    """Store an event if it is Stripe's, of our mode, and new. Raises SignatureInvalid, EventInvalid."""
    verify(body, signature, secrets=settings.STRIPE_WEBHOOK_SECRETS, now=time.time())
    store(parse(body), body)


def verify(body: bytes, header: str, *, secrets: Sequence[str], now: float) -> None:
    """Raise SignatureInvalid unless one of the secrets signed these bytes within the tolerance."""
    timestamp, signatures = _parts(header)
    if timestamp is None or abs(now - timestamp) > TOLERANCE:
        raise SignatureInvalid
    signed = b"%d." % timestamp + body
    for secret in filter(None, secrets):
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
        if any(hmac.compare_digest(expected, given) for given in signatures):
            return
    raise SignatureInvalid


def _parts(header: str) -> tuple[int | None, list[bytes]]:
    """Return the time-stamp and the signatures of scheme v1. Stripe sends `t=...,v1=...,v1=...,v0=...`."""
    pairs = [part.partition("=") for part in header.split(",")[: MOST_SIGNATURES + 1]]
    times = [value for name, _, value in pairs if name == "t"]
    signatures = [value.encode("utf-8", "replace") for name, _, value in pairs if name == "v1"]
    well_formed = len(times) == 1 and times[0].isascii() and times[0].isdecimal() and len(times[0]) <= 12
    return (int(times[0]) if well_formed else None), signatures


def parse(body: bytes) -> Envelope:
    """Return the event in these bytes.

    Raises EventInvalid if it is not an event, is nested too deeply, or is of the other mode.
    """
    try:
        envelope = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise EventInvalid from error
    if envelope.livemode != settings.STRIPE_LIVE_MODE:
        raise EventInvalid("This event is from the other mode, live or test.")
    if not _is_storable(envelope):
        raise EventInvalid
    return envelope


def _is_storable(envelope: Envelope) -> bool:
    names = (envelope.id, envelope.type)
    sizes = 0 < len(envelope.id) <= 255 and 0 < len(envelope.type) <= 100
    printable = all(name.isascii() and name.isprintable() for name in names)
    shallow = is_shallow(envelope.data.object, levels=DEEPEST)
    return sizes and printable and 0 <= envelope.created <= LATEST and shallow


def store(envelope: Envelope, body: bytes) -> bool:
    """Store one row per event, however often it is delivered. Return whether this is its first delivery."""
    row = (
        envelope.id,
        envelope.type,
        envelope.created,
        envelope.livemode,
        _customer(envelope.data),
        about(envelope.type, envelope.data.object),
        _CLIENT_SECRET.sub(rb"\1null", body).decode(),
    )
    with connection.cursor() as cursor:
        cursor.execute(STORE, row)
        is_new = cursor.fetchone() is not None
    if is_new:
        worker.tell_on_commit()
    return is_new


def about(type_: str, item: dict[str, Any]) -> str:
    """Return the id of the object that settling an event looks at; "" for an event that is handled alone."""
    if type_ in ALONE:
        return ""
    if type_ == "invoice.payment_failed" or type_.startswith(("customer.", "subscription_schedule.")):
        return _storable(shapes.customer_of(item))
    if type_.startswith("checkout.session."):
        paid = shapes.id_of(item.get("invoice")) or shapes.id_of(item.get("payment_intent"))
        return _storable(paid or shapes.id_of(item))
    if type_.startswith("credit_note."):
        return _storable(shapes.id_of(item.get("invoice")))
    if type_.startswith(("invoice.", "payment_intent.")):
        return _storable(shapes.id_of(item))
    return _storable(shapes.id_of(item.get("payment_intent")))


# These do more than look at an object.
ALONE = frozenset(
    {
        "checkout.session.async_payment_failed",
        "customer.deleted",
        "customer.subscription.trial_will_end",
    }
)


def _storable(text: str) -> str:
    return text if text.isascii() and len(text) <= 255 and "\0" not in text else ""


def _customer(data: Data) -> str:
    """Return the event's customer, if it names one; its body is found by this when they are erased.

    A detached card names its customer only among the previous attributes.
    """
    item, before = data.object, data.previous_attributes or {}
    named = item.get("id") if item.get("object") == "customer" else item.get("customer")
    given = named or before.get("customer")
    text = given.get("id") if isinstance(given, dict) else given
    return _storable(text) if isinstance(text, str) else ""
