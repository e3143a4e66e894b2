"""The entries of a ring of signing keys, as shared by the checks of the settings and the code that signs."""

from typing import Protocol

ALGORITHMS = ("HS256", "ES256", "EdDSA")


class RingEntry(Protocol):
    """A configured key: its id, its one algorithm, and its raw material (a secret, or a private key in PKCS #8 DER)."""

    @property
    def kid(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def material(self) -> bytes: ...
