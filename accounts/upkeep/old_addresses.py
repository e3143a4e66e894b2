"""Finds addresses that a version before 2026-11-28 stored: their spelling is lost where it folded cases first.

`info@straße.de` became `info@strasse.de`, a domain with another owner. Nobody can tell any more which of the two was
typed; so nothing is changed, and no two accounts are made one. Staff ask, and the user changes the address.
"""

from collections.abc import Iterator
from typing import NamedTuple

from allauth.socialaccount.models import SocialAccount
from django.db.models import Exists, OuterRef, Q

from accounts.audit import Event
from accounts.kit import email_address, pages
from accounts.models import AuditEvent, User


class Ambiguous(NamedTuple):
    """Hold a verified address that may have been typed otherwise, and what verified it.

    `mail`: the mailbox's owner has followed a link, so the stored address is theirs. `google` and `import` said
    so of the address that was typed, whose spelling is lost.
    """

    user: User
    proof: str


def ambiguous() -> Iterator[Ambiguous]:
    """Yield the verified ones, in the order of their ids; those without a proof by mail are the ones to ask about."""
    proved = User.objects.filter(email_verified_at__isnull=False).annotate(
        is_of_google=Exists(SocialAccount.objects.filter(user=OuterRef("pk"))),
        is_imported=Exists(AuditEvent.objects.filter(user_id=OuterRef("pk"), type=Event.USER_IMPORTED)),
    )
    suspects = proved.filter(Q(email__contains="ss") | Q(email__contains="xn--") | Q(email__regex=r"[^ -~]"))
    for user in pages.by_key(suspects):
        if email_address.is_ambiguous(user.email or ""):
            yield Ambiguous(user, _proof_of(user))


def _proof_of(user: User) -> str:
    if user.is_of_google:  # type: ignore[attr-defined]  # annotated above
        return "google"
    return "import" if user.is_imported else "mail"  # type: ignore[attr-defined]
