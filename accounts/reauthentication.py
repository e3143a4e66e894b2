"""Proving again who one is: what sensitive calls ask for, and the ways in which it can be proved.

A session counts as recent for RECENT_SIGN_IN after a full sign-in, and after a proof (OWASP ASVS 7.5.3). Wrong proofs
are counted per account, whatever the call: a stolen session must not become a place to guess the password.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, mails, passwords, throttles
from accounts.audit import Event
from accounts.client import Client
from accounts.errors import ReauthenticationFailed, ReauthenticationRequired
from accounts.models import Session, User


@dataclass(frozen=True)
class Method:
    """One way to prove it. `proves` is asked only where the method is `offered`."""

    offered: Callable[[User], bool]
    proves: Callable[[User, str], bool]


def _knows_password(user: User, password: str) -> bool:
    return passwords.verify(password, user.password).right


# By the name of the field that carries it. Second factors (`code`) and Google (`id_token`) add theirs.
METHODS = {"password": Method(offered=User.has_usable_password, proves=_knows_password)}


def methods_of(user: User) -> list[str]:
    return [name for name, method in METHODS.items() if method.offered(user)]


def is_recent(session: Session) -> bool:
    """By the database's clock, as of the reading of the session."""
    age = session.read_at - session.authenticated_at.timestamp()
    return age <= settings.RECENT_SIGN_IN.total_seconds()


def require_recent(session: Session) -> None:
    """Raises ReauthenticationRequired."""
    if not is_recent(session):
        raise ReauthenticationRequired(methods=methods_of(session.user))


def renew(session: Session, *, method: str, proof: str, client: Client) -> None:
    """Makes the session count as recent again. Raises ReauthenticationFailed, RateLimited or ServiceUnavailable."""
    prove(session, method=method, proof=proof, client=client)
    with transaction.atomic():
        Session.objects.filter(pk=session.pk, ended_at=None).update(authenticated_at=Now())
        audit.record(Event.REAUTHENTICATED, user_id=session.user_id, session_id=session.pk, client=client)


def prove(session: Session, *, method: str, proof: str, client: Client) -> None:
    """Whether the proof is right. Counted before it is looked at, so that parallel tries gain nothing.

    Only a wrong one stays counted. Raises ReauthenticationFailed, RateLimited or ServiceUnavailable.
    """
    user = session.user
    wrong = throttles.hit("wrong_proofs", str(user.pk))
    left = throttles.take(wrong)
    try:
        right = METHODS[method].offered(user) and METHODS[method].proves(user, proof)
    except BaseException:
        throttles.give_back(wrong)
        raise
    if not right:
        _refuse(session, client, last=left == 0)
    throttles.give_back(wrong)


def _refuse(session: Session, client: Client, *, last: bool) -> None:
    with transaction.atomic():
        event = audit.record(
            Event.REAUTHENTICATION_FAILED, user_id=session.user_id, session_id=session.pk, client=client
        )
        if last:
            mails.notify(mails.PROOFS_EXHAUSTED, user=session.user, event=event)
    raise ReauthenticationFailed
