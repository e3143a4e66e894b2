"""Mails that were given up, and their second chance."""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.audit import Event
from accounts.mail import outbox
from accounts.models import OutboxMessage


@transaction.atomic
def send_again(message_ids: Iterable[UUID], *, actor: str) -> int:
    """Puts the dead ones among these messages back into the queue, with all their tries. How many those were."""
    dead = OutboxMessage.objects.select_for_update(no_key=True).filter(
        pk__in=message_ids, dead_at__isnull=False
    )
    revived = list(dead.order_by("pk"))
    for message in revived:
        OutboxMessage.objects.filter(pk=message.pk).update(
            dead_at=None, attempts=0, due_at=Now(), leased_until=None, last_error=""
        )
        detail = {"message": str(message.pk)}
        audit.record(Event.MAIL_SENT_AGAIN, user_id=message.user_id, actor=actor, detail=detail)
        outbox.postman.tell_on_commit(str(message.pk))
    return len(revived)
