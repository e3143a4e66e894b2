"""A call on the ledger: its service, its key, and the texts that go with it."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from django.conf import settings

from accounts.kit.problems import IdempotencyKeyReused

SALT_BYTES = 16
DIGEST_BYTES = 16  # 32 in rows of the first version
_NO_TEXTS = (None,) * 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to change the ledger.

    `service` and `key` make it unique for a user: the same pair takes effect once. `request` is what was asked,
    which tells a repeat from another request under the same key. `key` is None only for commands, admins and sweeps.
    """

    service: str
    key: str | None = None
    request: bytes = b""
    description: str | None = None
    reference: str | None = None
    metadata: Mapping[str, Any] | None = None
    feature: str | None = None  # for a use requested by feature
    quantity: int | None = None
    unit_price: int | None = None

    @property
    def digest(self) -> bytes | None:
        """Return the journal's digest of the request, keyed so that erased texts cannot be guessed from it."""
        return (
            None if self.key is None else _keyed(settings.LEDGER_DIGEST_KEYS[0], self.request, DIGEST_BYTES)
        )

    def salt(self) -> bytes | None:
        """Return a fresh salt for a row with texts; without texts there is nothing to protect."""
        texts = (self.description, self.reference, self.metadata, self.feature, self.quantity)
        return None if texts == _NO_TEXTS else secrets.token_bytes(SALT_BYTES)

    def require_same_request(self, stored: bytes) -> None:
        """Raise IdempotencyKeyReused unless the stored digest is of this request, under any configured key."""
        candidates = (_keyed(key, self.request, len(stored)) for key in settings.LEDGER_DIGEST_KEYS)
        if not stored or not any(hmac.compare_digest(stored, candidate) for candidate in candidates):
            raise IdempotencyKeyReused


def request_bytes(operation: str, *, path: str = "", fields: Any) -> bytes:
    """Return a canonical form of a request, whatever the order of its fields. `fields` omits what was not sent."""
    return msgspec.json.encode([operation, path, fields], order="sorted")


def _keyed(key: str, request: bytes, size: int) -> bytes:
    """Return keyed BLAKE2b (RFC 7693, 2.9), a MAC in itself, in a twentieth of the time that HMAC takes here."""
    return hashlib.blake2b(request, digest_size=size, key=mac_key(key)).digest()


@cache
def mac_key(key: str) -> bytes:
    """Return a key of any length as the 64 bytes that BLAKE2b takes at most."""
    return hashlib.sha512(key.encode()).digest()
