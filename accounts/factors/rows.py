"""An account's second factors: an authenticator app, passkeys, and the recovery codes that substitute for them.

The rows are allauth's Authenticator. Recovery codes are not a factor on their own: they are created with the first
factor and removed with the last. Every change here locks the user's row (User.objects.locked), so that changes are
serialised.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.db.models import Q, QuerySet

from accounts import audit, mail
from accounts.audit import Event
from accounts.errors import FactorNotFound
from accounts.kit.client import Client
from accounts.models import FactorReset, MFAToken, PasskeyChallenge, Session, TOTPEnrolment, User

Type = Authenticator.Type
OWN = (Type.TOTP, Type.WEBAUTHN)
# The names in the API.
NAMES = {Type.TOTP: "totp", Type.WEBAUTHN: "passkey", Type.RECOVERY_CODES: "recovery_code"}
# The RFC 8176 values that each adds to a session's methods. A factor next to another makes `mfa`.
METHODS = {Type.TOTP: "otp", Type.WEBAUTHN: "pop", Type.RECOVERY_CODES: "otp"}
MFA = Session.MFA


def of(user_id: UUID, *types: str) -> QuerySet[Any]:
    rows: QuerySet[Any] = Authenticator.objects.filter(user_id=user_id)
    return rows.filter(type__in=types) if types else rows


def names_of(user_id: UUID) -> list[str]:
    """Return the account's second factors, by their names in the API."""
    found = set(of(user_id).values_list("type", flat=True))
    return [name for kind, name in NAMES.items() if kind in found]


def with_factor(methods: list[str], kind: str) -> list[str]:
    """Return the methods of a session that has proved this factor too."""
    return list(dict.fromkeys([*methods, METHODS[Type(kind)], MFA]))


def prove_on(session: Session, kind: str) -> None:
    """Record on the session that it has shown a factor, which sensitive calls demand if the account has one."""
    methods = with_factor(session.methods, kind)
    Session.objects.unended().filter(pk=session.pk).update(methods=methods)


def announce_added(
    user: User, kind: str, *, first: bool, client: Client, session_id: UUID | None = None
) -> None:
    """Audit and mail the new factor, in the transaction of the change."""
    event = audit.record(
        Event.FACTOR_ADDED,
        user_id=user.pk,
        session_id=session_id,
        client=client,
        detail={"factor": NAMES[Type(kind)]},
    )
    mail.notify(mail.MFA_ENABLED if first else mail.FACTOR_ADDED, user=user, event=event)


def remove(session: Session, rows: QuerySet[Any], *, client: Client) -> None:
    """Remove one factor, and with the last one the recovery codes. Raise FactorNotFound."""
    user = session.user
    kind = rows.values_list("type", flat=True).first()
    if kind is None:
        raise FactorNotFound
    rows.delete()
    last = not of(user.pk, *OWN).exists()
    if last:
        of(user.pk).delete()
    event = audit.record(
        Event.FACTOR_REMOVED,
        user_id=user.pk,
        session_id=session.pk,
        client=client,
        detail={"factor": NAMES[Type(kind)]},
    )
    mail.notify(mail.MFA_DISABLED if last else mail.FACTOR_REMOVED, user=user, event=event)


# ---------------------------------------------------------------- what accounts/hooks.py calls


def remove_since(user_id: UUID, *, since: datetime) -> None:
    """Remove what someone else may have added: factors, new recovery codes, half sign-ins, a scheduled reset."""
    removed = of(user_id).filter(created_at__gte=since).delete()[0]
    if not of(user_id, *OWN).exists():
        removed += of(user_id).delete()[0]
    _forget_what_is_under_way(user_id)
    FactorReset.objects.filter(user=user_id, created_at__gte=since).cancel()
    if removed:
        audit.record(Event.FACTOR_REMOVED, user_id=user_id, detail={"factor": "all_since"})


def erase_factors(user_id: UUID) -> None:
    """Delete all factors, and what is in progress with them."""
    of(user_id).delete()
    _forget_what_is_under_way(user_id)


def erase(user_id: UUID) -> None:
    erase_factors(user_id)
    FactorReset.objects.filter(user=user_id).delete()


def _forget_what_is_under_way(user_id: UUID) -> None:
    TOTPEnrolment.objects.filter(user=user_id).delete()
    PasskeyChallenge.objects.filter(Q(session__user=user_id) | Q(mfa_token__user=user_id)).delete()
    MFAToken.objects.filter(user=user_id).delete()


def export(user_id: UUID) -> Iterator[dict[str, Any]]:
    """Yield each factor with its dates, never a seed or a key."""
    for row in of(user_id).order_by("pk"):
        yield {
            "type": NAMES[Type(row.type)],
            "name": row.data.get("name", ""),
            "created_at": row.created_at,
            "last_used_at": row.last_used_at,
        }
