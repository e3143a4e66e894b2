"""The form of a service's API key: `svc_<environment>_<id>_<secret>_<checksum>`.

The checksum lets secret scanners, and us, tell a key from a typing error without a look-up. The secret has 256 random
bits. Standard library only: `script/server` creates the first key with this module before Django is installed.
"""

import hashlib
import re
import secrets
import string
import zlib
from typing import NamedTuple

ALPHABET = string.digits + string.ascii_letters
ID_LENGTH = 12
SECRET_LENGTH = 43  # 43 characters of 62 are 256 bits
CHECKSUM_LENGTH = 6
_FORM = re.compile(
    rf"svc_(?P<environment>[a-z]{{2,8}})_(?P<id>[0-9A-Za-z]{{{ID_LENGTH}}})"
    rf"_(?P<secret>[0-9A-Za-z]{{{SECRET_LENGTH}}})_(?P<checksum>[0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


class NewKey(NamedTuple):
    """A new key. The text is shown once; the digest may be stored."""

    id: str
    text: str
    digest: bytes


def generate(environment: str) -> NewKey:
    key_id, secret = _random(ID_LENGTH), _random(SECRET_LENGTH)
    body = f"svc_{environment}_{key_id}_{secret}"
    text = f"{body}_{_checksum(body)}"
    return NewKey(key_id, text, digest(text))


def digest(text: str) -> bytes:
    """Return the key's SHA-256. A slow hash would add nothing, since the secret is random."""
    return hashlib.sha256(text.encode()).digest()


def key_id(text: str) -> str | None:
    """Return the id of a well-formed key with a correct checksum, otherwise None."""
    match = _FORM.fullmatch(text)
    if match is None or _checksum(text[: -CHECKSUM_LENGTH - 1]) != match["checksum"]:
        return None
    return match["id"]


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, remainder = divmod(number, len(ALPHABET))
        digits = ALPHABET[remainder] + digits
    return digits
