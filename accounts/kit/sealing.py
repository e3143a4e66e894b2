"""Encrypt columns that must be readable by the service but not from a dump: AES-256-GCM under FIELD_ENCRYPTION_KEYS.

A sealed text names its key, so keys can rotate: the first one seals, all open, and `manage.py reencrypt_fields`
re-encrypts under the first what older ones sealed. The context, such as `accounts.Factor.secret:<user id>`, is
authenticated too: a sealed text that is moved to another row or column does not open.

SEALED_COLUMNS in the settings lists the columns with sealed texts; in a JSON column they may be at any depth.
"""

import base64
import binascii
import os
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

FORM = "sealed1"  # sealed1:<key id>:<base64url of nonce, ciphertext and tag>
NONCE_BYTES = 12  # random; one key may seal 2^32 texts (NIST SP 800-38D, 8.3)


class SealedTextUnreadable(Exception):
    """The text is not sealed, was altered, belongs to another context, or its key is not in the ring."""


class _Parts(NamedTuple):
    kid: str
    raw: bytes


def seal(text: str, *, context: str) -> str:
    """Seal the text under the first key. Sealing the same text again gives a different result."""
    kid, nonce = settings.FIELD_ENCRYPTION_KEYS[0].kid, os.urandom(NONCE_BYTES)
    raw = nonce + _cipher(kid).encrypt(nonce, text.encode(), _bound(kid, context))
    return f"{FORM}:{kid}:{base64.urlsafe_b64encode(raw).decode()}"


def open(sealed: str, *, context: str) -> str:
    """Return the plain text, sealed under any key of the ring. Raise SealedTextUnreadable."""
    kid, raw = _parts(sealed)
    try:
        opened = _cipher(kid).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(kid, context))
    except (InvalidTag, ValueError) as error:  # ValueError: too short to hold nonce and tag
        raise SealedTextUnreadable(f"does not open under key {kid} for this context") from error
    return opened.decode()


def is_sealed(value: object) -> bool:
    return isinstance(value, str) and value.startswith(f"{FORM}:")


def key_id(sealed: str) -> str:
    """Return the id of the key that the sealed text names; it is not verified."""
    return sealed.removeprefix(f"{FORM}:").rpartition(":")[0]


def sealed_texts(value: object) -> list[str]:
    """Return all sealed texts in a column's value: the value itself, or those within its JSON."""
    if isinstance(value, dict):
        return sealed_texts(list(value.values()))
    if isinstance(value, list):
        return [text for part in value for text in sealed_texts(part)]
    return [value] if isinstance(value, str) and is_sealed(value) else []


def resealed(value: Any, *, context: str) -> Any:
    """Return the value with each sealed text under the first key. Raise SealedTextUnreadable."""
    if isinstance(value, dict):
        return {name: resealed(part, context=context) for name, part in value.items()}
    if isinstance(value, list):
        return [resealed(part, context=context) for part in value]
    if not is_sealed(value) or key_id(value) == settings.FIELD_ENCRYPTION_KEYS[0].kid:
        return value
    return seal(open(value, context=context), context=context)


def _parts(sealed: str) -> _Parts:
    form, _, rest = sealed.partition(":")
    kid, _, encoded = rest.rpartition(":")
    if form != FORM or not kid:
        raise SealedTextUnreadable("is not a sealed text")
    try:
        return _Parts(kid, base64.b64decode(encoded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise SealedTextUnreadable("is not base64url") from error


def _bound(kid: str, context: str) -> bytes:
    return f"{FORM}\0{kid}\0{context}".encode()


def _cipher(kid: str) -> AESGCM:
    for entry in settings.FIELD_ENCRYPTION_KEYS:
        if entry.kid == kid:
            return _cipher_of(entry.material)
    raise SealedTextUnreadable(f"was sealed under key {kid}, which is not in FIELD_ENCRYPTION_KEYS")


@lru_cache(maxsize=16)
def _cipher_of(material: bytes) -> AESGCM:
    """Derive a key of exactly 256 bits from 32 or more bytes of material (HKDF, RFC 5869)."""
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"field-encryption").derive(material))
