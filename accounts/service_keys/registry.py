"""The keys of services, and what each may do.

Keys come from the environment (INTERNAL_API_KEYS) and from the database. Each process caches the live ones by their
SHA-256 and re-reads the table every half second, so that a request costs no query and a revoked key is refused
everywhere within a second.
"""

import hmac
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q
from django.db.models.functions import Now

from accounts.kit import names
from accounts.models import Service, ServiceKey
from accounts.service_keys import form

SCOPES = frozenset(
    {
        "users:read",
        "tokens:introspect",
        "credits:read",
        "credits:add",
        "credits:sell",
        "credits:use",
        "credits:refund",
        "billing:read",
        "billing:write",
        "billing:webhook",
        "events:read",
    }
)
REFRESH_SECONDS = 0.5
LAST_USE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ServiceCredential:
    """The calling service, which owns idempotency keys and holds, and the scopes of the key it used."""

    service: str
    scopes: frozenset[str]
    key_id: str
    digest: bytes
    from_database: bool
    daily_budget: int | None = None  # credits that it may grant per day


class Registry:
    """The live keys, as known to this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._by_digest: dict[bytes, ServiceCredential] = {}
        self._read_at = float("-inf")
        self._last_use: dict[str, float] = {}

    def find(self, text: str) -> ServiceCredential | None:
        """Return the credential of a live key; None for unknown, wrong, revoked and expired keys alike."""
        digest = form.digest(text)
        if digest not in self._by_digest and form.key_id(text) is None:  # a typing error costs no look-up
            return None
        credential = self._live().get(digest)
        if credential is None or not hmac.compare_digest(credential.digest, digest):
            return None
        if credential.from_database:
            self._record_use(credential.key_id)
        return credential

    def _live(self) -> dict[bytes, ServiceCredential]:
        if time.monotonic() - self._read_at > REFRESH_SECONDS:
            self._read()
        return self._by_digest

    def _read(self) -> None:
        """Re-read the keys. Each thread that finds them stale does so itself.

        Waiting for another thread's read would mean waiting for its connection, and with an unresponsive database four
        threads would time out one after another.
        """
        started = time.monotonic()  # a key revoked during this read is seen by the next one
        credentials = [*from_environment(settings.INTERNAL_API_KEYS), *_from_database()]
        with self._lock:
            if started > self._read_at:
                self._by_digest = {credential.digest: credential for credential in credentials}
                self._read_at = started

    def _record_use(self, key_id: str) -> None:
        now = time.monotonic()
        if now - self._last_use.get(key_id, float("-inf")) < LAST_USE_SECONDS:
            return
        self._last_use[key_id] = now
        a_minute_ago = Now() - timedelta(seconds=LAST_USE_SECONDS)  # other processes record uses too
        recorded_before = Q(last_used_at__isnull=True) | Q(last_used_at__lte=a_minute_ago)
        ServiceKey.objects.filter(recorded_before, pk=key_id).update(last_used_at=Now())


registry = Registry()


def _from_database() -> Iterator[ServiceCredential]:
    columns = ("id", "service_id", "digest", "scopes", "daily_budget")
    for key_id, service, digest, scopes, daily in ServiceKey.objects.live().values_list(*columns):
        yield ServiceCredential(
            service, frozenset(scopes), key_id, bytes(digest), from_database=True, daily_budget=daily
        )


def from_environment(value: str) -> Iterator[ServiceCredential]:
    """Yield the keys in `name=key:scope[,scope...];...`, where `*` means all scopes; a key without scopes is refused.

    No omission can thus grant everything. Raise ImproperlyConfigured for a bad name, key or scope, by the entry's
    number, because what looks like a name may be the key itself.
    """
    entries = list(filter(None, (piece.strip() for piece in value.split(";"))))
    for number, entry in enumerate(entries, start=1):
        name, _, rest = entry.partition("=")
        text, _, scope_list = rest.partition(":")
        key_id = form.key_id(text)
        if key_id is None:
            raise _malformed(number, "its key is malformed; name=key:scope[,scope...] is expected")
        if name in Service.RESERVED or not names.OPERATORS.fullmatch(name):
            raise _malformed(number, "its name cannot be that of a service")
        scopes = SCOPES if scope_list == "*" else frozenset(scope_list.split(","))
        if scopes - SCOPES:
            raise _malformed(number, "it has no scope, or an empty or unknown one")
        yield ServiceCredential(name, scopes, key_id, form.digest(text), from_database=False)


def _malformed(number: int, reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"INTERNAL_API_KEYS, entry {number}: {reason}.")
