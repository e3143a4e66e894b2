"""Purge rows by one rule for each entry of settings.RETENTION, in chunks for which no request waits.

docs/retention.md is the table for people. What a rule deletes is no longer in use; only an investigator would read it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from accounts import events, hooks
from accounts.identity.address_claims import UNDO_LIFETIME
from accounts.models import (
    AddressChange,
    AuditEvent,
    EventDelivery,
    EventSubscription,
    ExchangeCode,
    FactorReset,
    MailToken,
    MFAToken,
    OutboxMessage,
    PasskeyChallenge,
    PendingRegistration,
    RateLimitWindow,
    ServiceEvent,
    Session,
    SpentProof,
    TOTPEnrolment,
    UsedTOTPStep,
    User,
)
from accounts.sessions.of_staff import SessionStore

CHUNK = 500
SECONDS_OF_A_RUN = 60.0

Rows = QuerySet[Any]
Rule = Callable[[Any], Rows]


def purge(
    *, seconds: float = SECONDS_OF_A_RUN, on_purged: Callable[[int], None] | None = None
) -> dict[str, int]:
    """Delete what is older than its rule allows, for at most `seconds`; the next run continues. Return the counts.

    Each chunk is its own transaction, and other processes may purge at the same time.
    """
    until = time.monotonic() + seconds
    purged = dict.fromkeys(rules(), 0)
    for name in purged:
        while time.monotonic() < until:
            count = _purge_chunk(due(name))
            purged[name] += count
            if on_purged is not None:
                on_purged(count)
            if count < CHUNK:
                break
    return purged


def counts() -> dict[str, int]:
    """Return how many rows each rule would delete now."""
    return {name: due(name).count() for name in rules()}


def due(name: str) -> Rows:
    return rules()[name](Now() - settings.RETENTION[name])


def rules() -> dict[str, Rule]:
    """Return our rules, and those of other apps (settings.RETENTION_RULES)."""
    return {**RULES, **{name: import_string(path) for name, path in settings.RETENTION_RULES.items()}}


@transaction.atomic
def _purge_chunk(rows: Rows) -> int:
    chosen = list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK])
    if chosen:
        still = rows.filter(pk__in=chosen)  # checked again, so that rows that have changed since then stay
        if rows.model is User:
            _part_with(list(still.select_for_update(of=("self",)).values_list("pk", flat=True)))
        still.delete()
    return len(chosen)


def _part_with(user_ids: Sequence[UUID]) -> None:
    """Notify other services that these users, of whom they were told, are gone."""
    hooks.purged(user_ids)
    events.emit_all([ServiceEvent(type="user.deleted", user_id=user_id) for user_id in user_ids])


def _unverified_users(before: Any) -> Rows:
    """Select users who never verified an address, have no live session, and own nothing. Staff are never among them."""
    alive = Session.objects.live().filter(user=OuterRef("pk"))
    users: Rows = User.objects.filter(
        ~Exists(alive),
        email_verified_at=None,
        status=User.Status.ACTIVE,
        is_staff=False,
        created_at__lt=before,
    )
    for owners in hooks.owners():
        users = users.exclude(pk__in=owners)
    return users


def _registrations(before: Any) -> Rows:
    over = (
        Q(confirmed_at__isnull=False) | Q(voided_at__isnull=False) | Q(user__email_verified_at__isnull=False)
    )
    return PendingRegistration.objects.filter(over, created_at__lt=before)


def _sessions(before: Any) -> Rows:
    return Session.objects.filter(Q(ended_at__lt=before) | Q(current_expires_at__lt=before))


def _admin_sessions(before: Any) -> Rows:
    rows: Rows = SessionStore.get_model_class().objects.filter(expire_date__lt=before)
    return rows


def _mail_tokens(before: Any) -> Rows:
    return MailToken.objects.filter(
        Q(used_at__lt=before) | Q(voided_at__lt=before) | Q(expires_at__lt=before)
    )


def _address_changes(before: Any) -> Rows:
    """Select changes that ended long enough ago, counting from the last day on which they could be undone.

    Their tokens are deleted before.
    """
    last = before - UNDO_LIFETIME
    return AddressChange.objects.filter(
        Q(confirmed_at__lt=last) | Q(confirmed_at__isnull=True, created_at__lt=last)
    )


def _sent_mails(before: Any) -> Rows:
    return OutboxMessage.objects.filter(sent_at__lt=before)


def _dead_mails(before: Any) -> Rows:
    return OutboxMessage.objects.filter(dead_at__lt=before)


def _mfa_tokens(before: Any) -> Rows:
    return MFAToken.objects.filter(expires_at__lt=before)


def _passkey_challenges(before: Any) -> Rows:
    return PasskeyChallenge.objects.filter(expires_at__lt=before)


def _totp_enrolments(before: Any) -> Rows:
    return TOTPEnrolment.objects.filter(expires_at__lt=before)


def _used_totp_steps(before: Any) -> Rows:
    return UsedTOTPStep.objects.filter(used_at__lt=before)


def _factor_resets(before: Any) -> Rows:
    return FactorReset.objects.filter(Q(applied_at__lt=before) | Q(cancelled_at__lt=before))


def _audit(before: Any) -> Rows:
    return AuditEvent.objects.filter(created_at__lt=before)


def _delivered_events(before: Any) -> Rows:
    return EventDelivery.objects.filter(delivered_at__lt=before)


def _dead_events(before: Any) -> Rows:
    return EventDelivery.objects.filter(dead_at__lt=before)


def _events(before: Any) -> Rows:
    """Select events that no subscription still needs.

    The last event stays, because the next position is counted from it. So do events with an open delivery, or that a
    subscription, such as a paused one, has yet to reach.
    """
    last = ServiceEvent.objects.aggregate(last=Max("position"))["last"]
    waiting = EventDelivery.objects.open().filter(event=OuterRef("pk"))
    unplaced = Q(position=None)  # of which nobody has read, and no subscription is sent
    rows = ServiceEvent.objects.filter(
        unplaced | Q(position__lt=last or 0), ~Exists(waiting), created_at__lt=before
    )
    for subscription in EventSubscription.objects.only("types", "position"):
        to_come = unplaced | Q(position__gt=subscription.position)
        rows = rows.exclude(to_come & Q(type__in=subscription.types) if subscription.types else to_come)
    return rows


def _spent_proofs(before: Any) -> Rows:
    return SpentProof.objects.filter(expires_at__lt=before)


def _exchange_codes(before: Any) -> Rows:
    return ExchangeCode.objects.filter(expires_at__lt=before)


def _rate_limits(before: Any) -> Rows:
    return RateLimitWindow.objects.filter(expires_at__lt=before)


RULES: dict[str, Rule] = {
    "unverified_users": _unverified_users,
    "registrations": _registrations,
    "sessions": _sessions,
    "admin_sessions": _admin_sessions,
    "mail_tokens": _mail_tokens,
    "address_changes": _address_changes,
    "sent_mails": _sent_mails,
    "dead_mails": _dead_mails,
    "mfa_tokens": _mfa_tokens,
    "passkey_challenges": _passkey_challenges,
    "totp_enrolments": _totp_enrolments,
    "used_totp_steps": _used_totp_steps,
    "factor_resets": _factor_resets,
    "audit": _audit,
    "delivered_events": _delivered_events,
    "dead_events": _dead_events,
    "events": _events,
    "spent_proofs": _spent_proofs,
    "exchange_codes": _exchange_codes,
    "rate_limits": _rate_limits,
}
