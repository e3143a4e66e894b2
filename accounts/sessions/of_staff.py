"""The admin's sessions. The database has a hash of each key only, so a dump of it signs nobody in (OWASP ASVS 7.2).

A key is 165 bits of randomness: nobody finds it by trying, and its hash needs no salt.
"""

import hashlib
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.utils import timezone

COLUMN_BYTES = 20  # 40 hexadecimal digits, as long as Django's column is


class SessionStore(db.SessionStore):
    """Django's own, but what it asks the database by and writes there is the hash."""

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        live = self.model.objects.filter(expire_date__gt=timezone.now())
        found = live.filter(session_key=stored_key(self.session_key or "")).first()
        if found is None:
            self._session_key = None
        return found

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
