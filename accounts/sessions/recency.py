"""Check that an access token proves who is there now, as sensitive calls ask beyond their tier (OWASP ASVS 7.5.3).

The proof is in the token that was given for it and in no other of its session: who holds a copy of an older one gains
nothing when the owner proves who they are, and a refresh brings the time of the sign-in (ASVS 7.2.4).
"""

from django.conf import settings

from accounts import hooks
from accounts.errors import MFAEnrolmentRequired, ReauthenticationRequired
from accounts.models import Session


def require_recent(session: Session) -> None:
    """Raise ReauthenticationRequired. A factor that was added elsewhere since then is asked for at once."""
    lacks_factor = session.user.mfa_enabled and Session.MFA not in methods_of(session)
    if lacks_factor or not _is_recent(session):
        raise ReauthenticationRequired(methods=hooks.proofs(session.user))


def require_factor(session: Session) -> None:
    """Raise MFAEnrolmentRequired or ReauthenticationRequired where MFA_REQUIRED asks for a factor not shown."""
    if shows_enough(session):
        return
    if not session.user.mfa_enabled:
        raise MFAEnrolmentRequired
    raise ReauthenticationRequired(methods=hooks.proofs(session.user))


def shows_enough(session: Session) -> bool:
    """Return whether the session, or the token that asks, has shown the factor that MFA_REQUIRED asks of its user."""
    if settings.MFA_REQUIRED == "nobody" or (settings.MFA_REQUIRED == "staff" and not session.user.is_staff):
        return True
    return session.user.mfa_enabled and Session.MFA in methods_of(session)


def methods_of(session: Session) -> list[str]:
    """Return how it was signed in and what the token that asks has proved since (RFC 8176 values)."""
    return list(dict.fromkeys([*session.methods, *session.proofs]))


def _is_recent(session: Session) -> bool:
    """By the database's clock, as of the reading of the session."""
    return session.read_at - session.proved_at <= settings.RECENT_SIGN_IN.total_seconds()
