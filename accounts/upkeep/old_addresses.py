"""Find addresses stored by a version before 2026-11-28 whose original spelling was lost because it folded case first.

`info@straße.de` became `info@strasse.de`, a domain with another owner. Which of the two was typed is unknown, so
nothing is changed, and no accounts are merged. Staff ask the users, who change their addresses.
"""

from collections.abc import Iterator
from typing import NamedTuple

from allauth.socialaccount.models import SocialAccount
from django.db.models import Exists, OuterRef, Q

from accounts.audit import Event
from accounts.kit import email_address, pages
from accounts.models import AuditEvent, User


class Ambiguous(NamedTuple):
    """A verified address that may have been typed differently, and what verified it.

    `mail`: the mailbox's owner followed a link, so the stored address is theirs. `google` and `import` vouched for the
    address as typed, whose spelling is lost.
    """

    user: User
    proof: str


def ambiguous() -> Iterator[Ambiguous]:
    """Yield the ambiguous verified addresses by user id. Ask about those that were not verified by mail."""
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
