"""The admin's sessions: Django's cookie, and a row among the user's other sessions that says whether it is live.

They are therefore listed and ended like any other session, and expire when idle. The database stores only a hash of
each cookie's key, so a dump signs nobody in (OWASP ASVS 7.2). A key has 165 bits of randomness: it cannot be guessed,
and its hash needs no salt.
"""

import hashlib
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least, Now
from django.utils import timezone

from accounts import audit
from accounts.audit import Event
from accounts.kit.client import Client
from accounts.models import Session, User
from accounts.models.sessions import SessionQuerySet
from accounts.sessions import ending, lineage

LISTENER = {"listener": "admin"}  # the `detail` of these sessions' audit events
COLUMN_BYTES = 20  # 40 hexadecimal digits, the length of Django's column


class SessionStore(db.SessionStore):
    """Django's session store, but the database sees only the hash of the key."""

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        live = self.model.objects.filter(expire_date__gt=timezone.now())
        found = live.filter(session_key=stored_key(self.session_key or "")).first()
        if found is None:
            self._session_key = None
        return found

    def is_empty(self) -> bool:
        """Return whether the middleware should remove the cookie, which only a sign-out does.

        A missing key alone must not: a concurrent sign-in may have replaced the cookie.
        """
        return super().is_empty() and self.modified

    def exists(self, session_key: str) -> bool:
        return super().exists(stored_key(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        instance = super().create_model_instance(data)
        instance.session_key = stored_key(instance.session_key)
        return instance

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(stored_key(key))


def stored_key(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=COLUMN_BYTES).hexdigest()


def open_row(user: User, *, methods: list[str], client: Client) -> UUID | None:
    """Sign in a member of staff; return the id of their session, or None if the account has changed since."""
    session = lineage.open_at(Session.Door.ADMIN, user, methods=methods, client=client, detail=LISTENER)
    return None if session is None else session.pk


def use(session_id: UUID, user_id: UUID) -> bool:
    """Return whether the session is still live, and if so extend its idle lifetime."""
    idle = Least(Now() + settings.ADMIN_SESSION_IDLE, F("expires_at"))
    used = _live(session_id, user_id).update(last_used_at=Now(), current_expires_at=idle)
    return bool(used == 1)


@transaction.atomic
def sign_out(session_id: UUID, user_id: UUID, *, client: Client) -> None:
    """End the session at once, unless it has already ended."""
    if _live(session_id, user_id).end(ending.EndReason.LOGOUT):
        audit.record(Event.SIGNED_OUT, user_id=user_id, session_id=session_id, client=client, detail=LISTENER)


def _live(session_id: UUID, user_id: UUID) -> SessionQuerySet:
    rows = Session.objects.live().filter(pk=session_id, user=user_id)
    return rows.filter(door=Session.Door.ADMIN)
