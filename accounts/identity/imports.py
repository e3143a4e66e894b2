"""Import users from another system, with their password hashes, from one JSON object per line:

    {"email": "ada@example.com", "password_hash": "$2b$12$...", "email_verified": true, "display_name": "Ada"}

An address that already has a user is skipped, so an interrupted run is simply repeated. A hash that would make its
owner's sign-in more expensive than others' is dropped: the user is imported without a password, and mailed a link.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import msgspec
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from accounts import audit, events, hooks, passwords
from accounts.audit import Event
from accounts.identity import address_claims, dear_hashes, profile
from accounts.kit import email_address, names
from accounts.models import ServiceEvent, User
from accounts.passwords import imported as imported_hashes

AT_ONCE = 500
ACTOR = "manage.py import_users"
RESERVED = f"email: a former owner may still take this address back, within {address_claims.UNDO_LIFETIME.days} days."


class Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    email: str
    password_hash: str | None = None  # without one the user requests a password by mail
    email_verified: bool = False
    display_name: str = ""
    locale: str = "en"
    timezone: str = "UTC"


_decoder = msgspec.json.Decoder(Line)


@dataclass
class Report:
    """The counts of lines by result. `refused` has the numbers of refused lines, from 1, with the reason."""

    imported: int = 0
    present: int = 0
    mailed: int = 0  # of those imported, to choose a password
    refused: list[tuple[int, str]] = field(default_factory=list)


class Refused(ValueError):
    """A line cannot be imported; the message says why."""


class Newcomer(NamedTuple):
    """The unsaved user that a line describes, and whether their hash is dropped."""

    user: User
    must_choose: bool
    line: int = 0


def run(lines: Iterable[bytes], *, dry_run: bool) -> Iterator[Report]:
    """Import batch by batch, each in its own transaction; yield the report so far after each."""
    report, numbered = Report(), enumerate(lines, 1)
    while batch := list(islice(numbered, AT_ONCE)):
        newcomers: dict[str, Newcomer] = {}
        for number, line in batch:
            try:
                newcomer = read(line)
            except Refused as reason:
                report.refused.append((number, str(reason)))
                continue
            if newcomer is not None:
                email = newcomer.user.email or ""
                report.present += email in newcomers
                newcomers.setdefault(email, newcomer._replace(line=number))
        _store(newcomers, report, dry_run=dry_run)
        yield report


def read(line: bytes) -> Newcomer | None:
    """Return the user that a line describes, or None for an empty line. Raise Refused."""
    if not line.strip():
        return None
    try:
        wanted = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(str(error)) from error
    name, locale = names.clean(wanted.display_name), profile.clean_locale(wanted.locale)
    faults = [
        *email_address.faults(wanted.email),
        *profile.faults(display_name=name, locale=locale, timezone=wanted.timezone),
    ]
    if faults or "\0" in line.decode() or "\\u0000" in line.decode():
        raise Refused("; ".join(f"{field_name}: {detail}" for field_name, _, detail in faults) or "NUL")
    stored = _stored_hash(wanted.password_hash)
    must_choose = stored is not None and not passwords.is_affordable(stored)
    user = User(
        email=email_address.parse(wanted.email),
        password=make_password(None) if stored is None or must_choose else stored,
        email_verified_at=timezone.now() if wanted.email_verified else None,
        display_name=name,
        locale=locale,
        timezone=wanted.timezone,
    )
    return Newcomer(user, must_choose)


def _stored_hash(text: str | None) -> str | None:
    if text is None:
        return None
    stored = imported_hashes.as_stored(text)
    if len(stored) > 128 or not passwords.is_known(stored):
        raise Refused("password_hash: this kind is not accepted.")
    return stored


@transaction.atomic
def _store(newcomers: dict[str, Newcomer], report: Report, *, dry_run: bool) -> None:
    present = set(User.objects.filter(email__in=newcomers).values_list("email", flat=True))
    for email in address_claims.reserved_among(newcomers.keys() - present):
        report.refused.append((newcomers.pop(email).line, RESERVED))
    fresh = [one.user for email, one in newcomers.items() if email not in present]
    if not dry_run:
        User.objects.bulk_create(fresh, ignore_conflicts=True)
        made = set(User.objects.filter(pk__in=[user.pk for user in fresh]).values_list("pk", flat=True))
        fresh = [user for user in fresh if user.pk in made]
        hooks.registered([user.pk for user in fresh])
        audit.record_each(Event.USER_IMPORTED, user_ids=[user.pk for user in fresh], actor=ACTOR)
        events.emit_all([event for user in fresh for event in _news_of(user)])
    must_choose = [user for user in fresh if newcomers[user.email or ""].must_choose]
    if not dry_run:
        for user in must_choose:
            dear_hashes.ask_to_choose(user)
    report.imported += len(fresh)
    report.present += len(newcomers) - len(fresh)
    report.mailed += len(must_choose)


def _news_of(user: User) -> Iterator[ServiceEvent]:
    yield ServiceEvent(type="user.registered", user_id=user.pk)
    if user.email_verified:
        yield ServiceEvent(type="user.verified", user_id=user.pk)
