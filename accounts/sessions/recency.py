"""Check that an access token carries a recent proof of identity, as sensitive calls demand (OWASP ASVS 7.5.3).

The proof belongs to the token issued for it, and to no other token of its session. The holder of a stolen older token
gains nothing when the owner re-authenticates, and a refreshed token carries the time of the sign-in (ASVS 7.2.4).
"""

from django.conf import settings

from accounts import hooks
from accounts.errors import MFAEnrolmentRequired, ReauthenticationRequired
from accounts.models import Session


def require_recent(session: Session) -> None:
    """Raise ReauthenticationRequired if the proof is too old, or lacks a second factor that the account has by now."""
    lacks_factor = session.user.mfa_enabled and Session.MFA not in methods_of(session)
    if lacks_factor or not _is_recent(session):
        raise ReauthenticationRequired(methods=hooks.proofs(session.user))


def require_factor(session: Session) -> None:
    """Raise MFAEnrolmentRequired or ReauthenticationRequired if MFA_REQUIRED demands a factor that was not shown."""
    if shows_enough(session):
        return
    if not session.user.mfa_enabled:
        raise MFAEnrolmentRequired
    raise ReauthenticationRequired(methods=hooks.proofs(session.user))


def shows_enough(session: Session) -> bool:
    """Return whether the session or the current token has shown the factor that MFA_REQUIRED demands of its user."""
    if settings.MFA_REQUIRED == "nobody" or (settings.MFA_REQUIRED == "staff" and not session.user.is_staff):
        return True
    return session.user.mfa_enabled and Session.MFA in methods_of(session)


def methods_of(session: Session) -> list[str]:
    """Return the session's sign-in methods and what the current token has proved since then (RFC 8176 values)."""
    return list(dict.fromkeys([*session.methods, *session.proofs]))


def _is_recent(session: Session) -> bool:
    """Compare with the database's clock, as read with the session."""
    return session.read_at - session.proved_at <= settings.RECENT_SIGN_IN.total_seconds()
