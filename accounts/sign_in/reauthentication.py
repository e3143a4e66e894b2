"""Proving again who one is, as sensitive calls ask (accounts/sessions/recency.py), and the ways to prove it.

A session counts as recent for RECENT_SIGN_IN after a full sign-in, and after a proof (OWASP ASVS 7.5.3). Where the
account has a second factor it takes one: a password alone proves nothing then, neither here nor at an earlier sign-in.
Wrong passwords are counted per account, whatever the call, and wrong factors together with those of signing in: a
stolen session must not become a place to guess either.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, factors, mail, passwords
from accounts.audit import Event
from accounts.errors import ReauthenticationFailed
from accounts.factors import passkeys, proofs, totp
from accounts.factors.proofs import FactorWrong
from accounts.kit import throttles
from accounts.kit.client import Client
from accounts.models import Session, User
from accounts.sign_in import by_factor, by_google


@dataclass(frozen=True)
class Method:
    """One way to prove it. `proves` is asked only where the method is `offered`."""

    offered: Callable[[User], bool]
    proves: Callable[[User, Any], bool]


@dataclass(frozen=True)
class FactorMethod:
    """One kind of second factor; `shown` gives the row that was proved, with the user's row held."""

    offered: Callable[[User], bool]
    shown: Callable[[User, Any, Client], Any]


def _knows_password(user: User, password: str) -> bool:
    return passwords.verify(password, user.password).right


# By the name of the field that carries it.
METHODS = {
    "password": Method(offered=User.has_usable_password, proves=_knows_password),
    "id_token": Method(offered=by_google.is_linked, proves=by_google.proves),
}
FACTORS = {
    "code": FactorMethod(
        offered=lambda user: factors.of(user.pk, factors.Type.TOTP, factors.Type.RECOVERY_CODES).exists(),
        shown=lambda user, code, client: totp.use_code(user.pk, code),
    ),
    "credential": FactorMethod(
        offered=lambda user: factors.of(user.pk, factors.Type.WEBAUTHN).exists(),
        shown=lambda user, credential, client: passkeys.use(user.pk, credential, client=client),
    ),
}


def methods_of(user: User) -> list[str]:
    """What the account can send: only its factors, where it has any."""
    known: Any = FACTORS if user.mfa_enabled else METHODS
    return [name for name, method in known.items() if method.offered(user)]


def renew(session: Session, *, method: str, proof: Any, client: Client) -> None:
    """Makes the session count as recent again. Raises ReauthenticationFailed, RateLimited or ServiceUnavailable."""
    if method in FACTORS:
        _prove_factor(session, FACTORS[method], proof, client)
        return
    if session.user.mfa_enabled:
        raise ReauthenticationFailed
    prove(session, method=method, proof=proof, client=client)
    _renew(session, client)


def _prove_factor(session: Session, method: FactorMethod, proof: Any, client: Client) -> None:
    @transaction.atomic
    def attempt() -> bool | None:
        user = User.objects.locked().get(pk=session.user_id)
        row = method.shown(user, proof, client)
        if row is None:
            return None
        by_factor.note_use(user, row, client=client)
        factors.prove_on(session, row.type)
        _renew(session, client)
        return True

    try:
        proofs.judged(session.user, attempt, client=client, session_id=session.pk)
    except FactorWrong as error:
        raise ReauthenticationFailed from error


@transaction.atomic
def _renew(session: Session, client: Client) -> None:
    Session.objects.unended().filter(pk=session.pk).update(authenticated_at=Now())
    audit.record(Event.REAUTHENTICATED, user_id=session.user_id, session_id=session.pk, client=client)


def prove(session: Session, *, method: str, proof: Any, client: Client) -> None:
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
            mail.notify(mail.PROOFS_EXHAUSTED, user=session.user, event=event)
    raise ReauthenticationFailed
