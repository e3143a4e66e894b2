"""End the pauses of wrong passwords and factors: what staff do for an owner whom they have recognised."""

from uuid import UUID

from django.db import transaction

from accounts import audit, mail
from accounts.audit import Event
from accounts.factors import proofs
from accounts.kit import throttles
from accounts.models import User
from accounts.sign_in import tries


@transaction.atomic
def lift(*, user_id: UUID, reason: str, actor: str) -> None:
    """Start every count of wrong passwords and factors of the account afresh, and tell its owner."""
    user = User.objects.locked().get(pk=user_id)
    proofs.forget(user.pk)
    event = audit.record(Event.PAUSE_LIFTED, user_id=user.pk, actor=actor, detail={"reason": reason})
    mail.notify(mail.PAUSE_LIFTED, user=user, event=event)
    throttles.forget(throttles.hit("wrong_proofs", str(user.pk)))
    tries.forget(user.email or "")
