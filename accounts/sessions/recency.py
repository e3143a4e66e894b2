"""Check that a session has proved lately who is there, as sensitive calls ask beyond their tier (OWASP ASVS 7.5.3)."""

from django.conf import settings

from accounts import hooks
from accounts.errors import ReauthenticationRequired
from accounts.models import Session


def require_recent(session: Session) -> None:
    """Raise ReauthenticationRequired. A factor that was added elsewhere meanwhile is asked for at once."""
    lacks_factor = session.user.mfa_enabled and Session.MFA not in session.methods
    if lacks_factor or not _is_recent(session):
        raise ReauthenticationRequired(methods=hooks.proofs(session.user))


def _is_recent(session: Session) -> bool:
    """By the database's clock, as of the reading of the session."""
    age = session.read_at - session.authenticated_at.timestamp()
    return age <= settings.RECENT_SIGN_IN.total_seconds()
