"""Read sessions: the single statement of an authenticated request, a user's live sessions, and the lock on a user.

A change to the ways into an account happens while the requesting session is still live, or not at all. An admitted
request may take seconds, for example while it calls Google. Whatever ends its session in that time (an undo, a new
password, a sign-out everywhere) also removes what a thief has added, and must not be overtaken by this request.
"""

import uuid
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection

from accounts.errors import SessionRevoked
from accounts.kit.prepared import Prepared, uuid_bytes
from accounts.models import Session, User
from accounts.models.sessions import SessionQuerySet

# The columns that a request needs of its session, in the model's order; the rest are deferred.
_SESSION_COLUMNS = ["id", "user_id", "retry_until", "ended_at", "methods"]
_USER_COLUMNS = [field.attname for field in User._meta.concrete_fields]  # noqa: SLF001  Django's documented name
_READ = Prepared(
    "accounts_session",
    """
SELECT extract(epoch FROM clock_timestamp())::float8, session.expires_at > clock_timestamp(),
  EXISTS (SELECT FROM mfa_authenticator AS factor WHERE factor.user_id = owner.id),
  EXISTS (SELECT FROM socialaccount_socialaccount AS google WHERE google.user_id = owner.id), {columns}
FROM accounts_session AS session JOIN accounts_user AS owner ON owner.id = session.user_id
WHERE session.id = %(session_id)s AND session.user_id = %(user_id)s
""".format(  # noqa: S608  names of columns only
        columns=", ".join(
            [*(f"session.{name}" for name in _SESSION_COLUMNS), *(f"owner.{name}" for name in _USER_COLUMNS)]
        )
    ),
    {"session_id": uuid_bytes, "user_id": uuid_bytes},
)


class Reading(NamedTuple):
    """A session and its user as of `now`, the database's clock in seconds since 1970."""

    now: float
    lasts: bool  # its absolute lifetime is not over
    session: Session

    def is_live(self, *, token_version: int) -> bool:
        """Return whether the session is live, its user is active, and they have not signed out everywhere since."""
        return self.lasts and self.session.ended_at is None and self.session.user.admits(token_version)


def read(session_id: uuid.UUID, user_id: uuid.UUID) -> Reading | None:
    """Return a session of this user, by the single statement of an authenticated request; None if there is none.

    The SQL is written out because it runs with every request, and building it with the ORM cost more than running it.
    """
    row = _READ.one({"session_id": session_id, "user_id": user_id})
    if row is None:
        return None
    now, lasts, mfa_enabled, google_linked, *values = row
    session = Session.from_db(connection.alias, _SESSION_COLUMNS, values[: len(_SESSION_COLUMNS)])
    session.read_at = now
    session.user = User.from_db(connection.alias, _USER_COLUMNS, values[len(_SESSION_COLUMNS) :])
    session.user.mfa_enabled = mfa_enabled
    session.user.google_linked = google_linked
    return Reading(now, lasts, session)


def note_use_of_successor(session: Session, *, issued_at: int) -> None:
    """Stop repeating the last refresh's response once a token that it issued is used."""
    if session.retry_until is not None:
        since = datetime.fromtimestamp(issued_at + 1, UTC)  # token times are whole seconds
        given = Session.objects.filter(pk=session.pk, current_issued_at__lt=since)
        given.filter(retry_until__isnull=False).update(retry_until=None)


def live_of(user_id: uuid.UUID) -> SessionQuerySet:
    """Return the user's sessions whose refresh token would still be accepted."""
    return Session.objects.live().filter(user_id=user_id)


def hold_user(session: Session) -> User:
    """Lock and return the session's user, until the transaction ends.

    Raise SessionRevoked if the session is no longer live.
    """
    user: User = User.objects.locked().get(pk=session.user_id)
    lives = Session.objects.unended().filter(pk=session.pk).exists()
    if not lives or not user.admits(session.user.token_version):
        raise SessionRevoked
    return user
