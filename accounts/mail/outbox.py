"""What must leave the house: a row per mail, in the transaction that causes it, so that neither is without the other.

The worker is told of the row after the commit: a broker that is down or silent costs no request anything. What is not
handed over, or not finished, the relay finds (accounts.tasks.relay_outbox).
"""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db import transaction

from accounts import audit
from accounts.audit import Event
from accounts.kit import nudge
from accounts.kit.leases import Queue
from accounts.models import AuditEvent, MailToken, OutboxMessage

HAND_OVER_AGAIN = timedelta(seconds=15)  # after which the relay takes an id that it handed over for lost
RELAYED_AT_ONCE = 500
DELIVER = "accounts.tasks.deliver"

postman = nudge.Nudge(DELIVER, most=1000)

queue = Queue(
    model=OutboxMessage,
    order="due_at",
    lease=timedelta(seconds=20),
    first_delay=5,
    growth=2,
    longest_delay=120,
    spread=0,
)


def enqueue(
    kind: str,
    *,
    user_id: UUID | None = None,
    token: MailToken | None = None,
    event: AuditEvent | None = None,
    requested_email: str = "",
) -> OutboxMessage:
    """Writes the row; it leaves after commit, or never."""
    message = OutboxMessage.objects.create(
        kind=kind, user_id=user_id, token=token, event=event, requested_email=requested_email
    )
    postman.tell_on_commit(str(message.pk))
    return message


def relay() -> int:
    """Hands over what is due and was not handed over, was lost on the way, or failed and has waited long enough."""
    due = queue.hand_over(most=RELAYED_AT_ONCE, again=HAND_OVER_AGAIN)
    for message_id in due:
        nudge.send(DELIVER, str(message_id))
    return len(due)


@transaction.atomic
def send_again(message_ids: Iterable[UUID], *, actor: str) -> int:
    """Give those of the messages that were given up all their tries again. Return how many those were."""
    dead = OutboxMessage.objects.select_for_update(no_key=True).filter(
        pk__in=message_ids, dead_at__isnull=False
    )
    revived = list(dead.order_by("pk"))
    for message in revived:
        queue.revive(message, last_error="")
        detail = {"message": str(message.pk)}
        audit.record(Event.MAIL_SENT_AGAIN, user_id=message.user_id, actor=actor, detail=detail)
        postman.tell_on_commit(str(message.pk))
    return len(revived)
