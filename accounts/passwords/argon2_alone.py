"""argon2 on a single thread.

The library starts one thread for each of a hash's lanes, eight in Django's hashes. The result is the same on one, and
each sign-in gets one processor.
"""

import base64

from argon2.low_level import ARGON2_VERSION, Type, core, error_to_str, ffi, lib  # type: ignore[attr-defined]
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.utils.crypto import constant_time_compare

TYPES = {"argon2id": Type.ID, "argon2i": Type.I, "argon2d": Type.D}


def digest(
    password: bytes,
    salt: bytes,
    *,
    memory: int,
    passes: int,
    lanes: int = 1,
    length: int = 32,
    kind: Type = Type.ID,
    version: int = ARGON2_VERSION,
) -> bytes:
    """Return the raw hash (RFC 9106); `memory` is in KiB. Raise ValueError for parameters that argon2 rejects."""
    out, given, salted = (ffi.new("uint8_t[]", one) for one in (length, password or b"\0", salt))
    context = ffi.new(
        "argon2_context *",
        {
            "version": version,
            "out": out,
            "outlen": length,
            "pwd": given,
            "pwdlen": len(password),
            "salt": salted,
            "saltlen": len(salt),
            "t_cost": passes,
            "m_cost": memory,
            "lanes": lanes,
            "threads": 1,
            "flags": lib.ARGON2_DEFAULT_FLAGS,
        },
    )
    if (status := core(context, kind.value)) != lib.ARGON2_OK:
        raise ValueError(error_to_str(status))
    return bytes(ffi.buffer(out, length))


class OneThreadArgon2(Argon2PasswordHasher):
    """Django's hasher, but comparing on the calling thread."""

    def verify(self, password: str, encoded: str) -> bool:
        decoded = self.decode(encoded)
        stored = _bytes(decoded["hash"])
        made = digest(
            password.encode(),
            decoded["salt"].encode("latin1"),
            memory=decoded["memory_cost"],
            passes=decoded["time_cost"],
            lanes=decoded["parallelism"],
            length=len(stored),
            kind=TYPES[decoded["variety"]],
            version=decoded["version"],
        )
        return bool(constant_time_compare(made, stored))


def _bytes(unpadded: str) -> bytes:
    return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4))
