"""Webhook bodies that are not valid Stripe events. None is stored, whether signed or not."""

import json
import time
from typing import Any

from tests.fake_stripe.wire import Json


def event(identifier: str = "evt_junk", type: str = "test.happened", **fields: Any) -> Json:
    """Return a valid event."""
    return {
        "id": identifier,
        "object": "event",
        "type": type,
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": {"object": "thing", "id": "th_1"}},
        **fields,
    }


DEEP = b"[" * 100_000 + b"]" * 100_000
JUNK: dict[str, bytes] = {
    "nothing": b"",
    "number": b"1",
    "text": b'"evt"',
    "list": b"[]",
    "null": b"null",
    "object": b"{}",
    "nul": b"\0",
    "not utf-8": b"\xff\xfe",
    "not utf-8 inside": json.dumps(event()).encode().replace(b"th_1", b"\xff\xfe"),
    "lone surrogate": json.dumps(event()).encode().replace(b"th_1", b"\xed\xa0\x80"),
    "escaped surrogate": json.dumps(event()).encode().replace(b"th_1", b"\\ud800"),
    "cut off": json.dumps(event()).encode()[:-1],
    "deep": DEEP,
    "deep inside": json.dumps(event()).encode().replace(b'"th_1"', DEEP),
    "a little too deep": json.dumps(event()).encode().replace(b'"th_1"', b"[" * 40 + b"]" * 40),
    "another object": json.dumps(event(object="charge")).encode(),
    "no id": json.dumps({**event(), "id": ""}).encode(),
    "long id": json.dumps({**event(), "id": "e" * 300}).encode(),
    "nul in the id": json.dumps({**event(), "id": "evt\0"}).encode(),
    "number for an id": json.dumps({**event(), "id": 1}).encode(),
    "long type": json.dumps(event(type="t" * 200)).encode(),
    "no object": json.dumps({**event(), "data": {}}).encode(),
    "list for an object": json.dumps({**event(), "data": {"object": []}}).encode(),
    "time that is none": json.dumps(event(created=10**30)).encode(),
    "time before time": json.dumps(event(created=-(10**15))).encode(),
    "word for livemode": json.dumps(event(livemode="false")).encode(),
}
