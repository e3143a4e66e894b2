"""Password hashes from other systems: which are accepted, at what cost at most, and in which form they are stored.

They are compared as they are, and replaced at the next sign-in (accounts/passwords/hashing.py). One that costs more
than a hash of ours is not accepted: response times would reveal who has such an account, and a few of them would stall
all sign-ins.
"""

import re
from typing import Any

from django.contrib.auth.hashers import BCryptPasswordHasher

BYTES_THAT_BCRYPT_READS = 72

_BCRYPT = re.compile(r"\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{53}")
_ARGON2 = re.compile(r"\$argon2(?:id|i|d)\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")


class PlainBCrypt(BCryptPasswordHasher):
    """bcrypt over the password itself, as in most systems: it reads 72 bytes, and this library refuses more."""

    def encode(self, password: str, salt: Any) -> str:
        cut = password.encode()[:BYTES_THAT_BCRYPT_READS].decode(errors="surrogateescape")
        return super().encode(_Bytes(cut), salt)


class _Bytes(str):
    """Text that encodes to the very bytes it was cut to, even half a character."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:
        return super().encode(encoding, errors)


def as_stored(text: str) -> str:
    """Return the hash in our hashers' form: `$2b$12$...` and `$argon2id$...` get their algorithm's name as a prefix."""
    if _BCRYPT.fullmatch(text):
        return f"bcrypt${text}"
    if _ARGON2.fullmatch(text):
        return f"argon2{text}"
    return text
