"""Ending sessions: one, all others, or all. What ends a session does so at once, whatever is under way on it."""

import uuid

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from accounts import audit
from accounts.audit import Event
from accounts.errors import SessionNotFound
from accounts.kit.client import Client
from accounts.models import Session, User
from accounts.sessions.reading import live_of

EndReason = Session.EndReason


def end(session: Session, *, reason: EndReason, client: Client) -> None:
    """Ends one session, at once."""
    with transaction.atomic():
        audit.record(Event.SIGNED_OUT, user_id=session.user_id, session_id=session.pk, client=client)
        _end(Session.objects.filter(pk=session.pk), reason)


def end_one(session: Session, session_id: uuid.UUID, *, client: Client) -> None:
    """Ends another session of the same user, or this one. Raises SessionNotFound."""
    with transaction.atomic():
        if not _end(live_of(session.user_id).filter(pk=session_id), EndReason.ENDED_BY_USER):
            raise SessionNotFound
        audit.record(Event.SESSION_ENDED, user_id=session.user_id, session_id=session_id, client=client)


def end_others(session: Session, *, reason: EndReason) -> None:
    """Ends every session of the user but this one. Called inside the transaction of its cause."""
    _end(Session.objects.filter(user_id=session.user_id).exclude(pk=session.pk), reason)


def sign_out_others(session: Session, *, client: Client) -> None:
    with transaction.atomic():
        _lock(session.user_id)
        end_others(session, reason=EndReason.ENDED_BY_USER)
        audit.record(
            Event.OTHER_SESSIONS_ENDED, user_id=session.user_id, session_id=session.pk, client=client
        )


def end_all(user_id: uuid.UUID, *, reason: EndReason) -> None:
    """Ends every session of the user, at once. Called inside the transaction of its cause."""
    User.objects.filter(pk=user_id).update(token_version=F("token_version") + 1)
    _end(Session.objects.filter(user_id=user_id), reason)


def sign_out_everywhere(session: Session, *, client: Client) -> None:
    with transaction.atomic():
        end_all(session.user_id, reason=EndReason.LOGOUT_ALL)
        audit.record(
            Event.SIGNED_OUT_EVERYWHERE, user_id=session.user_id, session_id=session.pk, client=client
        )


# ---------------------------------------------------------------- steps


def _lock(user_id: uuid.UUID) -> None:
    """A sign-in that is under way shares a lock on the user's row: after this it is done, or will wait."""
    User.objects.select_for_update(no_key=True).get(pk=user_id)


def _end(sessions: QuerySet[Session], reason: EndReason) -> bool:
    """Whether any of them had not ended before."""
    return sessions.filter(ended_at=None).update(ended_at=Now(), end_reason=reason) > 0
