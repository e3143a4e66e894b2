"""Making, rotating and revoking the keys of services: what the admin and `manage.py service_key` call.

Each change writes its audit row in the same transaction. The text of a key exists only in the answer to its maker.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.audit import Event
from accounts.kit import names
from accounts.models import Service, ServiceKey
from accounts.service_keys import form
from accounts.service_keys.registry import SCOPES, from_environment

LONGEST_LIFE_DAYS = 3650
LARGEST_BUDGET = 10**12


class KeyRefused(Exception):
    """The request for a key, a rotation or a revocation breaks a rule; the message says which, for people."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key just made. `text` is shown once and kept nowhere."""

    service: str
    id: str
    text: str
    scopes: list[str]
    expires_at: datetime | None
    daily_budget: int | None


@transaction.atomic
def create(
    *,
    service: str,
    scopes: Collection[str],
    actor: str,
    expires_in_days: int | None = None,
    daily_budget: int | None = None,
    another: bool = False,
    reason: str = "",
) -> IssuedKey:
    """The first key of a new service, or, when asked for, another one of a service that exists.

    A name stays with its service for ever, since history and idempotency keys belong to it: a name that is in use is
    refused without `another`, that of a retired service always.
    """
    _check_name(service)
    owner = _service(service, another=another)
    key = ServiceKey(service=owner, scopes=_checked(scopes), daily_budget=_checked_budget(daily_budget))
    return _issue(key, actor, expires_in_days, event=Event.SERVICE_KEY_CREATED, reason=reason)


@transaction.atomic
def rotate(*, service: str, actor: str, expires_in_days: int | None = None) -> IssuedKey:
    """A new key with the scopes of the live ones, which stay live until they are revoked: no request fails between.

    Its budget is the newest one's, and it has given nothing of it yet.
    """
    live = list(ServiceKey.objects.live().filter(service_id=service).order_by("-created_at"))
    if not live:
        raise KeyRefused(f"The service {service!r} has no live key in the database to rotate.")
    if len({frozenset(key.scopes) for key in live}) > 1:
        raise KeyRefused(
            f"The live keys of {service!r} have different scopes: use `create --another --scopes ...` instead."
        )
    newest = live[0]
    key = ServiceKey(service=newest.service, scopes=newest.scopes, daily_budget=newest.daily_budget)
    return _issue(key, actor, expires_in_days, event=Event.SERVICE_KEY_ROTATED)


@transaction.atomic
def set_budget(*, key_id: str, daily_budget: int | None, actor: str, reason: str = "") -> bool:
    """Limit the credits that a key may give in a day (UTC); None ends that. What it has given today counts. False when
    it was so before. Every process follows within a second. Raises KeyRefused.
    """
    budget = _checked_budget(daily_budget)
    key = ServiceKey.objects.unrevoked().select_for_update().filter(pk=key_id).first()
    if key is None:
        raise KeyRefused(f"There is no live key {key_id!r} in the database.")
    if key.daily_budget == budget:
        return False
    key.daily_budget = budget
    key.save(update_fields=["daily_budget"])
    _audit(Event.SERVICE_KEY_BUDGETED, key, actor, reason)
    return True


@transaction.atomic
def revoke(*, key_id: str, actor: str, reason: str = "") -> bool:
    """End a key for good; every process refuses it within a second. Return False when it was revoked before."""
    if not ServiceKey.objects.filter(pk=key_id).exists():
        raise KeyRefused(
            f"Key {key_id!r} is not in the database. To end a key of INTERNAL_API_KEYS, remove it there."
        )
    if not ServiceKey.objects.unrevoked().filter(pk=key_id).update(revoked_at=Now()):
        return False
    key = ServiceKey.objects.get(pk=key_id)
    _audit(Event.SERVICE_KEY_REVOKED, key, actor, reason)
    return True


def _check_name(name: str) -> None:
    if name in Service.RESERVED:
        raise KeyRefused(f"{name!r} is reserved: the product itself writes under this name.")
    if not names.OPERATORS.fullmatch(name):
        raise KeyRefused(
            f"{name!r} is not a valid service name: a letter from a to z, then up to 39 of a-z, 0-9, - and _."
        )


def _service(name: str, *, another: bool) -> Service:
    service, new = Service.objects.get_or_create(name=name)
    if service.disabled_at is not None:
        raise KeyRefused(f"The service {name!r} was retired. Names are never reused: choose another one.")
    known = not new or name in {
        credential.service for credential in from_environment(settings.INTERNAL_API_KEYS)
    }
    if known and not another:
        raise KeyRefused(
            f"The service {name!r} exists. `rotate` replaces its key, `create --another` adds one to it."
        )
    return service


def _checked(scopes: Collection[str]) -> list[str]:
    unknown = sorted(set(scopes) - SCOPES)
    if unknown:
        raise KeyRefused(f"Unknown scope {', '.join(unknown)}. The scopes are {', '.join(sorted(SCOPES))}.")
    if not scopes:
        raise KeyRefused(f"A key needs at least one scope. The scopes are {', '.join(sorted(SCOPES))}.")
    return sorted(set(scopes))


def _checked_budget(daily: int | None) -> int | None:
    if daily is not None and not 0 <= daily <= LARGEST_BUDGET:
        raise KeyRefused(f"A daily budget is 0 to {LARGEST_BUDGET:,} credits, or none.")
    return daily


def _issue(key: ServiceKey, actor: str, days: int | None, *, event: Event, reason: str = "") -> IssuedKey:
    """Make a key of a row that has a service, scopes and a budget."""
    if days is not None and not 1 <= days <= LONGEST_LIFE_DAYS:
        raise KeyRefused(f"A key is valid for 1 to {LONGEST_LIFE_DAYS} days, or without expiry.")
    made = form.generate(settings.ENVIRONMENT)
    key.id, key.digest = made.id, made.digest
    key.expires_at = Now() + timedelta(days=days) if days is not None else None
    key.save(force_insert=True)
    key.refresh_from_db(fields=["expires_at"])
    _audit(event, key, actor, reason)
    return IssuedKey(key.service_id, made.id, made.text, key.scopes, key.expires_at, key.daily_budget)


def _audit(event: Event, key: ServiceKey, actor: str, reason: str) -> None:
    detail = {"service": key.service_id, "key": key.pk, "scopes": key.scopes}
    if key.daily_budget is not None or event == Event.SERVICE_KEY_BUDGETED:
        detail["daily_budget"] = key.daily_budget
    if reason:
        detail["reason"] = reason
    audit.record(event, user_id=None, actor=actor, detail=detail)
