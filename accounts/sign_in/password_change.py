"""Change the password of a signed-in user, who proves the old one or, having none, signed in recently."""

from django.db import transaction

from accounts import audit, mail, passwords, sessions
from accounts.audit import Event
from accounts.kit import throttles
from accounts.kit.client import Client
from accounts.kit.problems import ServiceUnavailable, ValidationFailed
from accounts.mail import tokens
from accounts.models import Session, User
from accounts.sign_in import reauthentication, tries

NEEDED = ("current_password", "required", "Send the account's current password.")


def change(session: Session, *, current_password: str | None, new_password: str, client: Client) -> None:
    """Store the new password, end every other session, and void the mailed links.

    Only links that undo an address change or stop the removal of factors stay valid. Raise ValidationFailed;
    ReauthenticationFailed if the old password is wrong, which is counted; ReauthenticationRequired if there is none and
    the sign-in is not recent; RateLimited; or ServiceUnavailable.
    """
    user = session.user
    _check(user, current_password, new_password)
    _prove(session, current_password, client)
    throttles.take(
        throttles.hit("change_password", str(user.pk))
    )  # counted after the proof, so that a thief cannot use up the owner's
    attempt = tries.of_holder(user, client)
    if not _store(session, passwords.make_hash(new_password, attempt), client):
        _require_same(session, new_password, client)


def _check(user: User, current_password: str | None, new_password: str) -> None:
    known = (user.email or "", user.display_name)
    wrong = passwords.faults(new_password, known=known, field="new_password")
    if user.has_usable_password() and current_password is None:
        wrong.append(NEEDED)
    if wrong:
        raise ValidationFailed(*wrong)


def _prove(session: Session, current_password: str | None, client: Client) -> None:
    if session.user.has_usable_password():
        reauthentication.prove(session, method="password", proof=current_password or "", client=client)
    else:
        sessions.require_recent(session)


@transaction.atomic
def _store(session: Session, password: str, client: Client) -> bool:
    """Store the hash; return False if the stored one has changed since it was read.

    A concurrent sign-in with the old password has opened its session by now, or finds the password changed.
    """
    user = session.user
    if not User.objects.as_judged(user).update(password=password):
        return False
    sessions.end_others(session, reason=sessions.EndReason.PASSWORD)
    tokens.void_all(user_id=user.pk)
    event = audit.record(Event.PASSWORD_CHANGED, user_id=user.pk, session_id=session.pk, client=client)
    mail.notify(mail.PASSWORD_CHANGED, user=user, event=event)
    return True


def _require_same(session: Session, new_password: str, client: Client) -> None:
    """Accept a repeat, such as a second click, of the request that has just stored this password.

    Raise ServiceUnavailable if another password was stored, or the session has ended; a retry is checked again.
    """
    user = User.objects.get(pk=session.user_id)
    is_same = passwords.verify(new_password, user.password, tries.of_holder(user, client)).right
    if not is_same or user.token_version != session.user.token_version:
        raise ServiceUnavailable
