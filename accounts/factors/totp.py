"""Authenticator apps (TOTP, RFC 6238) and recovery codes: created, checked, used up.

The algorithms are allauth's, and only this module imports allauth's internals. Single use is our own: a used step is a
row, because allauth's cache forgets. Time is the database's clock.
"""

import re
import secrets
from typing import NamedTuple
from uuid import UUID

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import format_hotp_value, generate_totp_secret, hotp_value
from allauth.mfa.utils import decrypt, encrypt
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.errors import EnrolmentOver, TOTPAlreadyEnabled
from accounts.factors import rows
from accounts.factors.adapter import seeds_of
from accounts.kit import clock, typed_codes
from accounts.models import TOTPEnrolment, User

Type = Authenticator.Type
PERIOD = 30  # seconds of one step
_CODE = re.compile(r"[0-9]{6}")
_RECOVERY_CODE = re.compile(r"[0-9]{16}")

# If two callers use one code in parallel, the second waits for the first and then inserts nothing.
_USE_STEP = """
INSERT INTO accounts_usedtotpstep (authenticator_id, step, used_at) VALUES (%s, %s, clock_timestamp())
ON CONFLICT DO NOTHING RETURNING id
"""


class Shown(NamedTuple):
    """The data for an authenticator app, shown once to the user who enrols it."""

    secret: str
    otpauth_url: str
    qr_svg: str


def begin_totp(user: User, *, session_id: UUID | None) -> Shown:
    """Return a new secret, which takes effect once `confirm_totp` has seen its code. Raise TOTPAlreadyEnabled."""
    if rows.of(user.pk, Type.TOTP).exists():
        raise TOTPAlreadyEnabled
    secret = generate_totp_secret()
    with seeds_of(user.pk):
        sealed = encrypt(secret)
    TOTPEnrolment.objects.update_or_create(
        user=user,
        defaults={
            "session_id": session_id,
            "secret": sealed,
            "expires_at": Now() + settings.TOTP_ENROLMENT_LIFETIME,
        },
    )
    url = get_adapter().build_totp_url(user, secret)
    return Shown(secret, url, get_adapter().build_totp_svg(url))


def require_enrolment(user: User, *, session_id: UUID | None) -> None:
    """Raise TOTPAlreadyEnabled if the app is already confirmed, or EnrolmentOver if this session has none to confirm.

    The former happens after a second click or a lost response. Call it with the user's row locked.
    """
    if rows.of(user.pk, Type.TOTP).exists():
        raise TOTPAlreadyEnabled
    if not _shown_to(user, session_id).exists():
        raise EnrolmentOver


def _shown_to(user: User, session_id: UUID | None) -> QuerySet[TOTPEnrolment]:
    return TOTPEnrolment.objects.filter(user=user, session=session_id, expires_at__gt=Now())


def confirm_totp(user: User, code: str, *, session_id: UUID | None) -> bool:
    """Return whether the code matches the secret last shown to this session; if so, add the app and use up the code.

    Call it with the user's row locked.
    """
    enrolment = _shown_to(user, session_id).first()
    if enrolment is None or rows.of(user.pk, Type.TOTP).exists():
        return False
    with seeds_of(user.pk):
        step = next(iter(_steps_of(decrypt(enrolment.secret), typed_codes.digits(code))), None)
    if step is None:
        return False
    row = Authenticator.objects.create(
        user=user, type=Type.TOTP, data={"secret": enrolment.secret}, created_at=Now()
    )
    enrolment.delete()
    return _use_step(row.pk, step)


def make_recovery_codes(user: User) -> list[str]:
    """Return ten new codes, and void older ones. Call it with the user's row locked."""
    with seeds_of(user.pk):
        data = {"seed": encrypt(secrets.token_hex(40)), "used_mask": 0}
        row, _ = Authenticator.objects.update_or_create(
            user=user, type=Type.RECOVERY_CODES, defaults={"data": data, "created_at": Now()}
        )
        codes: list[str] = RecoveryCodes(row).generate_codes()
    return codes


def recovery_codes_left(user_id: UUID) -> int:
    row = rows.of(user_id, Type.RECOVERY_CODES).first()
    if row is None:
        return 0
    return int(settings.MFA_RECOVERY_CODE_COUNT) - int(row.data["used_mask"]).bit_count()


def use_code(user_id: UUID, code: str) -> Authenticator | None:
    """Return the factor to which the code belongs, and use up the code with the transaction; None if it is wrong.

    Call it with the user's row locked.
    """
    digits = typed_codes.digits(code)
    if _CODE.fullmatch(digits):
        return _use_totp(user_id, digits)
    if _RECOVERY_CODE.fullmatch(digits):
        return _use_recovery_code(user_id, digits)
    return None


def _use_totp(user_id: UUID, digits: str) -> Authenticator | None:
    row = rows.of(user_id, Type.TOTP).first()
    if row is None:
        return None
    with seeds_of(user_id):
        steps = _steps_of(decrypt(row.data["secret"]), digits)
    if not any(_use_step(row.pk, step) for step in steps):
        return None
    rows.of(user_id).filter(pk=row.pk).update(last_used_at=Now())
    return row


def _use_recovery_code(user_id: UUID, digits: str) -> Authenticator | None:
    row = rows.of(user_id, Type.RECOVERY_CODES).first()
    if row is None:
        return None
    with seeds_of(user_id):
        right = RecoveryCodes(row).validate_code(digits)
    if not right:
        return None
    rows.of(user_id).filter(pk=row.pk).update(last_used_at=Now())
    return row


def _steps_of(secret: str, digits: str) -> list[int]:
    """Return the steps near now that have this code: the current one and, for clocks that are off, one on each side."""
    now = int(clock.now().timestamp()) // PERIOD
    near = range(now - settings.MFA_TOTP_TOLERANCE, now + settings.MFA_TOTP_TOLERANCE + 1)
    return [
        step
        for step in near
        if secrets.compare_digest(format_hotp_value(hotp_value(secret, step)).encode(), digits.encode())
    ]


def _use_step(authenticator_id: int, step: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_USE_STEP, [authenticator_id, step])
        return cursor.fetchone() is not None
