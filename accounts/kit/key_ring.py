"""Says what a key of a ring of signing keys is, for those who check the settings and those who sign."""

from typing import Protocol

ALGORITHMS = ("HS256", "ES256", "EdDSA")


class RingEntry(Protocol):
    """One configured key: id, the one algorithm it serves, raw material (a secret, or a private key in PKCS #8 DER)."""

    @property
    def kid(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def material(self) -> bytes: ...
