"""End sessions: one, all others, or all. Ending takes effect at once, regardless of requests in progress."""

import uuid

from django.db import transaction
from django.db.models import F

from accounts import audit
from accounts.audit import Event
from accounts.errors import SessionNotFound
from accounts.kit.client import Client
from accounts.models import Session, User
from accounts.sessions.reading import live_of
from accounts.sessions.tokens import SessionRefreshToken

EndReason = Session.EndReason


def end(session: Session, *, reason: EndReason, client: Client) -> None:
    with transaction.atomic():
        audit.record(Event.SIGNED_OUT, user_id=session.user_id, session_id=session.pk, client=client)
        Session.objects.filter(pk=session.pk).end(reason)


@transaction.atomic
def end_by_token(raw_token: str, *, client: Client) -> None:
    """End the session of a refresh token, even one that is superseded or expired. Raise RefreshTokenInvalid.

    A session that has already ended keeps its end reason.
    """
    token = SessionRefreshToken.parse(raw_token)
    if Session.objects.filter(pk=token.session_id, user=token.user_id).end(EndReason.LOGOUT):
        audit.record(Event.SIGNED_OUT, user_id=token.user_id, session_id=token.session_id, client=client)


def end_one(session: Session, session_id: uuid.UUID, *, client: Client) -> None:
    """End one of the user's sessions, possibly this one. Raise SessionNotFound if it is not live or not theirs."""
    with transaction.atomic():
        if not live_of(session.user_id).filter(pk=session_id).end(EndReason.ENDED_BY_USER):
            raise SessionNotFound
        audit.record(Event.SESSION_ENDED, user_id=session.user_id, session_id=session_id, client=client)


def end_others(session: Session, *, reason: EndReason) -> None:
    """End every session of the user except this one, inside the caller's transaction."""
    Session.objects.filter(user_id=session.user_id).exclude(pk=session.pk).end(reason)


def sign_out_others(session: Session, *, client: Client) -> None:
    with transaction.atomic():
        User.objects.locked().get(pk=session.user_id)  # a sign-in in progress has committed by now, or waits
        end_others(session, reason=EndReason.ENDED_BY_USER)
        audit.record(
            Event.OTHER_SESSIONS_ENDED, user_id=session.user_id, session_id=session.pk, client=client
        )


def end_all(user_id: uuid.UUID, *, reason: EndReason) -> None:
    """End every session of the user at once, inside the caller's transaction."""
    User.objects.filter(pk=user_id).update(token_version=F("token_version") + 1)
    Session.objects.filter(user_id=user_id).end(reason)


def sign_out_everywhere(session: Session, *, client: Client) -> None:
    with transaction.atomic():
        end_all(session.user_id, reason=EndReason.LOGOUT_ALL)
        audit.record(
            Event.SIGNED_OUT_EVERYWHERE, user_id=session.user_id, session_id=session.pk, client=client
        )
