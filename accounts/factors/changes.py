"""Add and remove second factors. Each change locks the user's row, and is audited and mailed in its own transaction.

Each raises SessionRevoked if its session has ended.
"""

from typing import Any, NamedTuple

from allauth.mfa.models import Authenticator
from django.db import transaction

from accounts import audit, mail, sessions
from accounts.audit import Event
from accounts.errors import EnrolmentCodeWrong, MFANotEnabled, StaffEnrolmentRequired
from accounts.factors import passkeys, proofs, totp
from accounts.factors import rows as factors
from accounts.factors.proofs import FactorWrong
from accounts.kit import names, throttles
from accounts.kit.client import Client
from accounts.kit.problems import ValidationFailed
from accounts.models import Session, User

Type = Authenticator.Type
UNNAMED = "Passkey"


class Added(NamedTuple):
    """A new factor and, with an account's first one, the recovery codes, which are shown only here."""

    row: Any
    recovery_codes: list[str]


def begin_totp(session: Session) -> totp.Shown:
    """Start adding an authenticator app. Raise TOTPAlreadyEnabled, StaffEnrolmentRequired or RateLimited."""
    _refuse_first_of_staff(session.user)
    throttles.take(throttles.hit("factor_changes", str(session.user_id)))
    return totp.begin_totp(session.user, session_id=session.pk)


def confirm_totp(session: Session, code: str, *, client: Client) -> list[str]:
    """Confirm the app, and return the recovery codes if it is the account's first factor.

    Raise EnrolmentCodeWrong, RateLimited, and what `require_enrolment` raises, which does not count as a guess.
    """

    @transaction.atomic
    def attempt() -> list[str] | None:
        user = sessions.hold_user(session)
        totp.require_enrolment(user, session_id=session.pk)
        if not totp.confirm_totp(user, code, session_id=session.pk):
            return None
        return _added(session, Type.TOTP, client)

    try:
        return proofs.judged(session.user, attempt, client=client, session_id=session.pk, is_own=False)
    except FactorWrong as error:
        raise EnrolmentCodeWrong from error


def confirm_first_totp(user: User, code: str, *, client: Client) -> list[str] | None:
    """Confirm the app of staff with a one-time link, and return the recovery codes; None if the code is wrong.

    Call it with the user's row locked.
    """
    if not totp.confirm_totp(user, code, session_id=None):
        return None
    codes = totp.make_recovery_codes(user)
    factors.announce_added(user, Type.TOTP, first=True, client=client)
    return codes


@transaction.atomic
def remove_totp(session: Session, *, client: Client) -> None:
    """Remove the authenticator app. Raise FactorNotFound."""
    sessions.hold_user(session)
    factors.remove(session, factors.of(session.user_id, Type.TOTP), client=client)


@transaction.atomic
def renew_recovery_codes(session: Session, *, client: Client) -> list[str]:
    """Return ten new recovery codes, and void the old ones. Raise MFANotEnabled or RateLimited."""
    throttles.take(throttles.hit("factor_changes", str(session.user_id)))
    user = sessions.hold_user(session)
    if not factors.of(user.pk, *factors.OWN).exists():
        raise MFANotEnabled
    codes = totp.make_recovery_codes(user)
    event = audit.record(Event.RECOVERY_CODES_MADE, user_id=user.pk, session_id=session.pk, client=client)
    mail.notify(mail.RECOVERY_CODES_MADE, user=user, event=event)
    return codes


def passkey_options(session: Session) -> dict[str, Any]:
    """Return the options to create a passkey. Raise PasskeyLimit, StaffEnrolmentRequired or RateLimited."""
    _refuse_first_of_staff(session.user)
    throttles.take(throttles.hit("factor_changes", str(session.user_id)))
    return passkeys.registration_options(session)


@transaction.atomic
def add_passkey(session: Session, credential: dict[str, Any], *, name: str, client: Client) -> Added:
    """Add a passkey from its authenticator's response. Raise PasskeyRefused, PasskeyLimit or ValidationFailed."""
    label = names.clean(name) or UNNAMED
    wrong = names.fault(label)
    if wrong:
        raise ValidationFailed(("name", *wrong))
    sessions.hold_user(session)
    row = passkeys.register(session, credential, name=label)
    return Added(row, _added(session, Type.WEBAUTHN, client))


@transaction.atomic
def remove_passkey(session: Session, passkey_id: int, *, client: Client) -> None:
    """Remove one passkey. Raise FactorNotFound."""
    sessions.hold_user(session)
    rows = factors.of(session.user_id, Type.WEBAUTHN).filter(pk=passkey_id)
    factors.remove(session, rows, client=client)


def _refuse_first_of_staff(user: User) -> None:
    if user.is_staff and not user.mfa_enabled:
        raise StaffEnrolmentRequired


def _added(session: Session, kind: str, client: Client) -> list[str]:
    """Announce the factor, and mark it as proved on the session, which has just shown it."""
    first = not factors.of(session.user_id, Type.RECOVERY_CODES).exists()
    codes = totp.make_recovery_codes(session.user) if first else []
    factors.prove_on(session, kind)
    factors.announce_added(session.user, kind, first=first, client=client, session_id=session.pk)
    return codes
