"""Lift the pauses after wrong passwords and factors, which staff do once they have identified the owner."""

from uuid import UUID

from django.db import transaction

from accounts import audit, mail, sessions
from accounts.audit import Event
from accounts.factors import proofs
from accounts.kit import throttles
from accounts.models import User
from accounts.sign_in import tries


@transaction.atomic
def lift(*, user_id: UUID, reason: str, actor: str) -> None:
    """Reset every count of the account's wrong passwords and factors, and notify the owner."""
    user = User.objects.locked().get(pk=user_id)
    live = sessions.live_of(user.pk).values_list("pk", flat=True)
    proofs.forget(user.pk, *live)
    event = audit.record(Event.PAUSE_LIFTED, user_id=user.pk, actor=actor, detail={"reason": reason})
    mail.notify(mail.PAUSE_LIFTED, user=user, event=event)
    throttles.forget(*(throttles.hit("wrong_proofs", str(session_id)) for session_id in live))
    tries.forget(user.email or "")
