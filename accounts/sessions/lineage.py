"""Open and rotate sessions. The row is the only truth, and every change is a single statement.

All times come from the database's clock, so hosts may disagree about the time. A transaction that touches both the
user's row and sessions locks the user's row first, so that no two can deadlock.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from accounts import audit, mail
from accounts.audit import Event
from accounts.errors import (
    RefreshSessionRevoked,
    RefreshTokenExpired,
    RefreshTokenReused,
)
from accounts.kit import clock, devices, metrics, throttles
from accounts.kit.client import Client, home_of
from accounts.kit.problems import ServiceUnavailable
from accounts.models import Session, User
from accounts.sessions import device_tokens, key_use, retry_keys
from accounts.sessions.ending import EndReason
from accounts.sessions.reading import Reading
from accounts.sessions.tokens import SessionAccessToken, SessionRefreshToken

# The user's row is locked and compared with the state that the caller checked. If a password change, suspension or
# sign-out everywhere came in between, no row is inserted; one that comes later finds the session and ends it. The
# condition is User.objects.active().as_judged(user), written out because one statement compares and inserts.
_OPEN = """
INSERT INTO accounts_session (
  id, user_id, door, current_jti, current_issued_at, current_expires_at, expires_at, methods, ip, user_agent,
  end_reason)
SELECT %(id)s, judged.id, %(door)s, %(jti)s, now, now + LEAST(%(idle)s, %(absolute)s), now + %(absolute)s,
       %(methods)s::varchar[], %(ip)s::inet, %(user_agent)s::text, ''
FROM (
  SELECT id FROM accounts_user
  WHERE id = %(user_id)s AND status = 'active' AND password = %(password)s AND token_version = %(token_version)s
  FOR SHARE
) AS judged, (SELECT statement_timestamp() AS now) AS clock
RETURNING id, user_id, current_jti, current_issued_at, current_expires_at, created_at, methods,
  EXISTS (SELECT FROM accounts_session AS other WHERE other.user_id = accounts_session.user_id
            AND other.ended_at IS NULL OFFSET %(most)s::int - 1),
  EXISTS (SELECT FROM accounts_session AS earlier WHERE earlier.user_id = accounts_session.user_id)
  AND NOT EXISTS (
    SELECT FROM accounts_session AS earlier WHERE earlier.user_id = accounts_session.user_id
      AND regexp_replace(earlier.user_agent, %(versions)s::text, '', 'g') = %(likeness)s::text
      AND coalesce(earlier.ip <<= %(home)s::inet, TRUE))
"""

# The session must be live and its user must admit the token: Session.objects.live() and User.admits, written out
# because one statement checks and rotates.
_ROTATE = """
UPDATE accounts_session AS session SET
  previous_jti = session.current_jti, current_jti = %(successor)s, rotated_at = now, last_used_at = now,
  current_issued_at = now, current_expires_at = LEAST(now + %(idle)s, session.expires_at),
  retry_key = %(retry_key)s, retry_until = CASE WHEN %(retry_key)s::bytea IS NOT NULL THEN now + %(retry)s END,
  ip = %(ip)s::inet, user_agent = %(user_agent)s::text
FROM accounts_user AS owner, (SELECT clock_timestamp() AS now) AS clock
WHERE session.id = %(id)s AND session.user_id = %(user_id)s AND session.current_jti = %(jti)s
  AND session.ended_at IS NULL AND session.expires_at > now AND session.current_expires_at > now
  AND owner.id = session.user_id AND owner.status = 'active' AND owner.token_version = %(token_version)s
RETURNING session.id, session.user_id, session.current_jti, session.current_issued_at, session.current_expires_at,
          session.created_at, session.methods, owner.email_verified_at IS NOT NULL
"""
# Concurrent sign-ins of one user share a lock on the user's row. Rows that another of them is ending are skipped.
_END_OLDEST = """
UPDATE accounts_session SET ended_at = clock_timestamp(), end_reason = %(reason)s WHERE id IN (
  SELECT id FROM accounts_session WHERE user_id = %(user_id)s AND ended_at IS NULL
  ORDER BY last_used_at DESC OFFSET %(most)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""
_RETURNED = (
    "id",
    "user_id",
    "current_jti",
    "current_issued_at",
    "current_expires_at",
    "created_at",
    "methods",
)


class TokenPair(NamedTuple):
    """The tokens that a sign-in or a refresh returns, with their lifetimes in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    refresh_expires_in: int
    device_token: str | None = None  # only from a sign-in


class ProofToken(NamedTuple):
    """An access token that carries a fresh proof of identity, with its lifetime in seconds."""

    access_token: str
    expires_in: int


def open_session(user: User, *, methods: list[str], client: Client) -> TokenPair | None:
    """Open a session on a new device, record it in the audit log, and return its tokens.

    Return None if the account has changed since `user` was read; the caller must then check it again. `methods` are RFC
    8176 values, as in the `amr` claim.
    """
    session = open_at(Session.Door.API, user, methods=methods, client=client)
    if session is None:
        return None
    metrics.count(metrics.TOKENS, "sign_in")
    pair = _pair(
        session,
        user.token_version,
        email_verified=user.email_verified,
        now=session.current_issued_at,
    )
    return pair._replace(device_token=device_tokens.issue(user))


@transaction.atomic
def open_at(
    door: Session.Door,
    user: User,
    *,
    methods: list[str],
    client: Client,
    detail: dict[str, Any] | None = None,
) -> Session | None:
    """Insert the session and its audit event, and notify the owner of a new device.

    Return None under the same condition as `open_session`.
    """
    opened = _insert(door, user, methods, client)
    if opened is None:
        return None
    session, is_new, too_many = opened
    if too_many:
        _end_oldest(user)
    event = audit.record(
        Event.SIGNED_IN, user_id=user.pk, session_id=session.pk, client=client, detail=detail
    )
    if is_new and device_tokens.device_in(client.device_token, user) is None:
        mail.notify(mail.NEW_DEVICE, user=user, event=event)
    return session


def rotate(raw_token: str, *, client: Client, key: str | None = None) -> TokenPair:
    """Exchange a refresh token for its successor.

    For 60 s the superseded token yields the same successor again, so that parallel callers converge and a lost response
    can be repeated. A caller that sent an idempotency key, which a copy of the token does not reveal, may repeat both
    for REFRESH_RETRY, until the successor is used. Any other reuse ends the session (RFC 9700, 4.14.2).

    Raise RateLimited, RefreshTokenInvalid, RefreshTokenExpired, RefreshTokenReused, RefreshSessionRevoked or
    ServiceUnavailable. The end of a reused session is committed before the refusal is raised.
    """
    token = SessionRefreshToken.parse(raw_token)
    throttles.take(throttles.hit("refresh", str(token.session_id)))
    if advanced := _advance(token, client, key):
        session, email_verified = advanced
        metrics.count(metrics.TOKENS, "refresh")
        return _pair(session, token["tv"], email_verified=email_verified, now=session.current_issued_at)
    session, now = _judge(token)
    if _repeats(token, session, key, now):
        _note_late(session, now, client)
        return _pair(session, token["tv"], email_verified=session.user.email_verified, now=now)
    if session.current_jti == token.jti:
        raise ServiceUnavailable  # the account was changing; the token is still valid for a retry
    _end_reused(session, client)
    raise RefreshTokenReused


def proof_token(session: Session, *, proofs: list[str]) -> ProofToken:
    """Return an access token of this session that carries a fresh proof by these methods (RFC 8176 values)."""
    user = session.user
    access = SessionAccessToken.for_session(
        session, user.token_version, email_verified=user.email_verified, now=clock.now(), proofs=proofs
    )
    key_use.note()
    return ProofToken(str(access), access["exp"] - access["iat"])


# ---------------------------------------------------------------- steps


def _insert(
    door: Session.Door, user: User, methods: list[str], client: Client
) -> tuple[Session, bool, bool] | None:
    """Return the session, whether its device is new, and whether the user now has too many sessions.

    A device is new only to a user who has had other sessions.
    """
    idle, absolute = _lifetimes(door)
    values = {
        "id": uuid.uuid4(),
        "door": door,
        "jti": uuid.uuid4(),
        "user_id": user.pk,
        "password": user.password,
        "token_version": user.token_version,
        "idle": idle,
        "absolute": absolute,
        "methods": methods,
        "ip": client.ip,
        "user_agent": client.user_agent,
        "versions": devices.VERSIONS,
        "likeness": devices.likeness(client.user_agent),
        "home": home_of(client.ip) or None,
        "most": settings.SESSIONS_PER_USER,
    }
    row = _run(_OPEN, values)
    return None if row is None else (_session(row), row[-1], row[-2])


def _end_oldest(user: User) -> None:
    most, reason = settings.SESSIONS_PER_USER, EndReason.TOO_MANY.value
    _run(_END_OLDEST, {"user_id": user.pk, "most": most, "reason": reason})


def _lifetimes(door: Session.Door) -> tuple[timedelta, timedelta]:
    """Return a session's idle and absolute lifetimes."""
    if door == Session.Door.ADMIN:
        return settings.ADMIN_SESSION_IDLE, settings.ADMIN_SESSION_LIFETIME
    return SessionRefreshToken.lifetime, settings.SESSION_ABSOLUTE_LIFETIME


def _advance(
    token: SessionRefreshToken, client: Client, key: str | None = None
) -> tuple[Session, bool] | None:
    """Rotate by compare-and-set, so that exactly one of several parallel callers with the same token succeeds.

    Return the session, and whether its user's address is verified.
    """
    values = {
        "id": token.session_id,
        "user_id": token.user_id,
        "jti": token.jti,
        "token_version": token["tv"],
        "successor": uuid.uuid4(),
        "idle": SessionRefreshToken.lifetime,
        "retry_key": None if key is None else next(retry_keys.digests(key, token)),
        "retry": settings.REFRESH_RETRY,
        "ip": client.ip,
        "user_agent": client.user_agent,
    }
    row = _run(_ROTATE, values)
    return None if row is None else (_session(row), row[-1])


def _judge(token: SessionRefreshToken) -> tuple[Session, datetime]:
    """Return a live session and the time, if the token has not expired; otherwise raise why it was not rotated."""
    session: Any = (
        Session.objects.select_related("user")
        .annotate(now=Now())
        .filter(pk=token.session_id, user=token.user_id)
        .first()
    )
    if session is None:
        raise RefreshSessionRevoked
    reading = Reading(session.now.timestamp(), session.expires_at > session.now, session)
    if token["exp"] <= reading.now:
        raise RefreshTokenExpired
    if not reading.is_live(token_version=token["tv"]):
        raise RefreshSessionRevoked
    return session, session.now


def _repeats(token: SessionRefreshToken, session: Session, key: str | None, now: datetime) -> bool:
    """Return whether this is a permitted repeat of the last refresh.

    A key other than the one of that refresh is someone else's, however soon it comes.
    """
    if session.previous_jti != token.jti or session.rotated_at is None:
        return False
    has_key = key is not None and session.retry_key is not None
    if key is not None and has_key and not retry_keys.is_of(session, key, token):
        return False
    if now - session.rotated_at <= settings.REFRESH_GRACE:
        return True
    return has_key and session.retry_until is not None and now <= session.retry_until


def _note_late(session: Session, now: datetime, client: Client) -> None:
    """Show the owner, in the audit log, a repeat that only the key explains."""
    if session.rotated_at is not None and now - session.rotated_at > settings.REFRESH_GRACE:
        audit.record(Event.REFRESH_REPEATED, user_id=session.user_id, session_id=session.pk, client=client)


def _end_reused(session: Session, client: Client) -> None:
    with transaction.atomic():
        event = audit.record(
            Event.REFRESH_REUSED, user_id=session.user_id, session_id=session.pk, client=client
        )
        if Session.objects.filter(pk=session.pk).end(EndReason.REUSE):
            mail.notify(mail.REFRESH_REUSED, user=session.user, event=event)


def _run(statement: str, values: dict[str, Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()


def _session(row: tuple[Any, ...]) -> Session:
    return Session(**dict(zip(_RETURNED, row[: len(_RETURNED)], strict=True)))


def _pair(session: Session, token_version: int, *, email_verified: bool, now: datetime) -> TokenPair:
    access = SessionAccessToken.for_session(session, token_version, email_verified=email_verified, now=now)
    refresh = SessionRefreshToken.for_session(session, token_version)
    pair = TokenPair(
        access_token=str(access),
        refresh_token=str(refresh),
        expires_in=access["exp"] - access["iat"],
        refresh_expires_in=max(0, refresh["exp"] - int(now.timestamp())),
    )
    key_use.note()
    return pair
