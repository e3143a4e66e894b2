"""bcrypt at the lowest cost it has: tests count hashes instead of waiting for them."""

import threading
from typing import Any

from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    BCryptSHA256PasswordHasher,
    PBKDF2PasswordHasher,
)


class CheapBCryptSHA256(BCryptSHA256PasswordHasher):
    """Counts: comparing a password is one hash too."""

    rounds = 4
    made = 0
    _lock = threading.Lock()

    def encode(self, password: str, salt: Any) -> str:
        with self._lock:
            type(self).made += 1
        return super().encode(password, salt)


class CheapArgon2(Argon2PasswordHasher):
    """Makes hashes that cost less than the cheapest bcrypt: a dearer one is nobody's password."""

    time_cost, memory_cost, parallelism = 1, 64, 8


class CheapPBKDF2(PBKDF2PasswordHasher):
    iterations = 100
