"""Store the messages to be sent: one row per mail, in the transaction that causes it, so that neither exists alone.

The worker is notified of the row after the commit; a broker that is down or silent delays no request. The relay
(accounts.tasks.relay_outbox) finds what was not handed over or not finished.
"""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db import transaction

from accounts import audit
from accounts.audit import Event
from accounts.kit import nudge
from accounts.kit.leases import Queue
from accounts.mail import kinds
from accounts.models import AuditEvent, MailToken, OutboxMessage, User

HAND_OVER_AGAIN = timedelta(seconds=15)  # after this, the relay considers an id that it handed over lost
RELAYED_AT_ONCE = 500
DELIVER = "accounts.tasks.deliver"

# Security notices, and all mails that no stranger can cause, overtake any number of those that anyone can request.
_LAST = 9  # the broker's lowest priority; the highest is 0
_BEHIND = sorted(kind for kind in {*kinds.KINDS, *kinds.ANSWERED_BY} if kinds.is_by_strangers(kind))

postman = nudge.Nudge(DELIVER, most=1000)
slow_postman = nudge.Nudge(DELIVER, most=1000, priority=_LAST)

queue = Queue(
    model=OutboxMessage,
    order="kind IN ({}), due_at".format(", ".join(f"'{kind}'" for kind in _BEHIND)),
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
    """Write the row; it is handed over after the commit, or never."""
    message = OutboxMessage.objects.create(
        kind=kind, user_id=user_id, token=token, event=event, requested_email=requested_email
    )
    _postman_of(kind).tell_on_commit(str(message.pk))
    return message


def notify(kind: str, *, user: User, event: AuditEvent) -> None:
    """Notify the user of an event, in the event's transaction, if their address is verified.

    An unverified address may be a stranger's, whom anyone could then flood.
    """
    if user.email and user.email_verified:
        enqueue(kind, user_id=user.pk, event=event, requested_email=user.email)


def relay() -> int:
    """Hand over the messages that are due, and return how many.

    They were not handed over yet, were lost on the way, or have waited long enough for a retry.
    """
    due = queue.hand_over(most=RELAYED_AT_ONCE, again=HAND_OVER_AGAIN)
    for message_id, kind in OutboxMessage.objects.filter(pk__in=due).values_list("pk", "kind"):
        nudge.send(DELIVER, str(message_id), **_options(kind))
    return len(due)


def _options(kind: str) -> dict[str, int]:
    return {"priority": _LAST} if kinds.is_by_strangers(kind) else {}


def _postman_of(kind: str) -> nudge.Nudge:
    return slow_postman if kinds.is_by_strangers(kind) else postman


@transaction.atomic
def send_again(message_ids: Iterable[UUID], *, actor: str) -> int:
    """Revive the dead ones among these messages, with all their attempts. Return how many were revived."""
    dead = OutboxMessage.objects.select_for_update(no_key=True).filter(
        pk__in=message_ids, dead_at__isnull=False
    )
    revived = list(dead.order_by("pk"))
    for message in revived:
        queue.revive(message, last_error="")
        detail = {"message": str(message.pk)}
        audit.record(Event.MAIL_SENT_AGAIN, user_id=message.user_id, actor=actor, detail=detail)
        _postman_of(message.kind).tell_on_commit(str(message.pk))
    return len(revived)
