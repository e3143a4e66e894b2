"""What changes the ways into an account happens while the session that asked still lives, or not at all.

A request that was let in may take seconds, to ask Google say. What ends its session meanwhile (an undo, a new password,
a sign-out everywhere) also takes back what a thief has added, and must not be overtaken by it.
"""

from accounts.errors import SessionRevoked
from accounts.models import Session, User


def hold_user(session: Session) -> User:
    """The session's user as the database has it, held until the transaction ends. Raises SessionRevoked."""
    user: User = User.objects.select_for_update(no_key=True).get(pk=session.user_id)
    lives = Session.objects.filter(pk=session.pk, ended_at=None).exists()
    if not lives or not user.is_active or user.token_version != session.user.token_version:
        raise SessionRevoked
    return user
