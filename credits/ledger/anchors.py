"""Anchors: signed records of the head of every user's chain, kept out of reach of those who control the database.

Someone with full access to the database can rewrite a chain so that it verifies, or delete a user with all rows. An
earlier anchor exposes both: the rows it names must still be there, with the same hashes.

An anchor is text, one JSON object per line: a heading, a line for each user, the totals, and a signature of all that.
"""

import hashlib
import hmac
import json
from itertools import islice
from typing import Any, TextIO
from uuid import UUID

from django.conf import settings
from django.db import connection

from accounts.kit import pages, replica
from credits.ledger import clock
from credits.ledger.calls import mac_key
from credits.ledger.verify import Finding
from credits.models import UserCredit

KIND = "credits-anchor-1"
USERS_AT_A_TIME = 1000

ANCHORED_ROWS = """
SELECT holder_id, hash FROM credits_credittransaction
WHERE holder_id = ANY(%(users)s::uuid[]) AND (holder_id, at) IN (
    SELECT given.holder_id, given.at FROM unnest(%(users)s::uuid[], %(times)s::timestamptz[]) AS given(holder_id, at))
"""


class NotAnAnchor(Exception):
    """The file is not an anchor, is cut short, was altered, or was signed with a key that is not configured."""


class _Signature:
    """A MAC over lines as they go by, under every configured key."""

    def __init__(self) -> None:
        self._macs = [
            hashlib.blake2b(key=mac_key(key), digest_size=32, person=b"credits-anchor")
            for key in settings.LEDGER_DIGEST_KEYS
        ]

    def add(self, line: str) -> str:
        for mac in self._macs:
            mac.update(line.encode())
        return line

    def value(self) -> str:
        return self._macs[0].hexdigest()

    def accepts(self, value: str) -> bool:
        return any(hmac.compare_digest(mac.hexdigest(), value) for mac in self._macs)


def write(file: TextIO) -> int:
    """Write an anchor of every user with a chain. Return the number of users."""
    signature, users, balance, held = _Signature(), 0, 0, 0
    file.write(signature.add(_line({"kind": KIND, "at": clock.now().isoformat()})))
    heads = UserCredit.objects.exclude(hash=b"")
    for row in pages.by_key(heads, at_a_time=USERS_AT_A_TIME, fetch=replica.rows):
        head = {"user": str(row.pk), "at": row.at.isoformat(), "hash": bytes(row.hash).hex()}
        file.write(signature.add(_line(head)))
        users, balance, held = users + 1, balance + row.balance, held + row.held
    totals = {"users": users, "balance": balance, "held": held}
    file.write(signature.add(_line(totals)))
    file.write(_line({"signature": signature.value()}))
    return users


def findings(file: TextIO) -> list[Finding]:
    """Return a finding for each anchored row that is missing or changed in the ledger. Raises NotAnAnchor."""
    _require_whole(file)
    file.seek(0)
    file.readline()
    found: list[Finding] = []
    while heads := list(islice((_parsed(line) for line in file), USERS_AT_A_TIME)):
        found += _compare([head for head in heads if "user" in head])
    return found


def _require_whole(file: TextIO) -> None:
    """Read the whole file for its signature: nothing in an altered file is trusted."""
    signature, last = _Signature(), file.readline()
    if _parsed(last).get("kind") != KIND:
        raise NotAnAnchor("This is not an anchor of the ledger.")
    for line in file:
        signature.add(last)
        last = line
    if not signature.accepts(str(_parsed(last).get("signature"))):
        raise NotAnAnchor("The anchor was cut short, altered, or signed with a key that is not configured.")


def _compare(heads: list[dict[str, Any]]) -> list[Finding]:
    parameters = {"users": [head["user"] for head in heads], "times": [head["at"] for head in heads]}
    with connection.cursor() as cursor:
        cursor.execute(ANCHORED_ROWS, parameters)
        there = {str(user): bytes(found).hex() for user, found in cursor.fetchall()}
    return [
        Finding(UUID(user), head["at"], _verdict(there.get(user)))
        for head in heads
        if there.get(user := head["user"]) != head["hash"]
    ]


def _verdict(found: str | None) -> str:
    return "anchored row is gone" if found is None else "rewritten since the anchor"


def _line(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _parsed(line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise NotAnAnchor("A line of the anchor is not what an anchor holds.")
    return fields
