"""bcrypt at the lowest cost it has: tests count hashes instead of waiting for them."""

from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class CheapBCryptSHA256(BCryptSHA256PasswordHasher):
    rounds = 4
