"""Answer the questions of allauth's models: how seeds are sealed, and what an authenticator app shows.

A sealed seed can only be opened for its own user. allauth does not pass the user along, so callers that read or create
a seed name the user with `with seeds_of(user_id): ...`. Outside of it nothing can be sealed or opened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings

from accounts.kit import sealing
from accounts.models import User

_owner: ContextVar[UUID] = ContextVar("owner_of_seeds")


@contextmanager
def seeds_of(user_id: UUID) -> Iterator[None]:
    token = _owner.set(user_id)
    try:
        yield
    finally:
        _owner.reset(token)


def context_of(row: Any) -> str:
    """Return the sealing context of a row with a seed. The setting SEALED_COLUMNS names this function."""
    return _context(row.user_id)


def _context(user_id: UUID) -> str:
    return f"mfa.seed:{user_id}"


class SealingAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    def encrypt(self, text: str) -> str:
        return sealing.seal(text, context=_context(_owner.get()))

    def decrypt(self, encrypted_text: str) -> str:
        return sealing.open(encrypted_text, context=_context(_owner.get()))

    def get_totp_label(self, user: User) -> str:
        """Start the label with the issuer, as the URL format recommends: some apps show nothing else of it."""
        account, issuer = user.email or str(user.pk), self.get_totp_issuer()
        return account if ":" in issuer else f"{issuer}:{account}"

    def get_totp_issuer(self) -> str:
        return str(settings.SERVICE_NAME)
