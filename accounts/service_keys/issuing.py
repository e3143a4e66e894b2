"""Create, rotate and revoke the keys of services, for the admin and `manage.py service_key`.

Each change writes its audit row in the same transaction. A key's text exists only in the response to its creator.
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
    """The request breaks a rule; the message, meant for people, says which."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. `text` is shown once and never stored."""

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
    """Create the first key of a new service or, with `another`, a further key of an existing one. Raise KeyRefused.

    A name belongs to its service for ever, because history and idempotency keys refer to it: a name in use is refused
    without `another`, and that of a retired service always.
    """
    _check_name(service)
    owner = _service(service, another=another)
    key = ServiceKey(service=owner, scopes=_checked(scopes), daily_budget=_checked_budget(daily_budget))
    return _issue(key, actor, expires_in_days, event=Event.SERVICE_KEY_CREATED, reason=reason)


@transaction.atomic
def rotate(*, service: str, actor: str, expires_in_days: int | None = None) -> IssuedKey:
    """Issue a key with the scopes of the live ones, which stay valid until revoked, so that no request fails.

    It has the newest key's budget, with nothing of it used. Raise KeyRefused.
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
    """Limit the credits that a key may grant per day (UTC); None removes the limit. Raise KeyRefused.

    What it has granted today counts. Return False if nothing changed. Every process follows within a second.
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
    """Revoke a key for good; every process refuses it within a second. Return False if it was already revoked.

    Raise KeyRefused if the key is not in the database.
    """
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
        raise KeyRefused(f"{name!r} is reserved: the service itself records under this name.")
    if not names.OPERATORS.fullmatch(name):
        raise KeyRefused(
            f"{name!r} is not a valid service name: use a letter from a to z, then up to 39 of a-z, 0-9, - and _."
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
        raise KeyRefused(f"A daily budget must be from 0 to {LARGEST_BUDGET:,} credits, or none.")
    return daily


def _issue(key: ServiceKey, actor: str, days: int | None, *, event: Event, reason: str = "") -> IssuedKey:
    """Issue a key for an unsaved row that has a service, scopes and a budget."""
    if days is not None and not 1 <= days <= LONGEST_LIFE_DAYS:
        raise KeyRefused(f"A key can be valid for 1 to {LONGEST_LIFE_DAYS} days, or without expiry.")
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
