"""Proving again who one is, as sensitive calls ask (accounts/sessions/recency.py), and the ways to prove it.

A full sign-in counts as recent for RECENT_SIGN_IN; a proof gives an access token that does (OWASP ASVS 7.5.3), and
leaves the session and its other tokens as they were. Where the account has a second factor it takes one: a password
alone proves nothing then, neither here nor at an earlier sign-in. Wrong passwords are counted per session, whatever the
call, and wrong factors together with those of signing in: a stolen session must not become a place to guess either. Nor
may it use up the tries of its owner, who has other sessions, and signs in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts import audit, factors, mail, passwords, sessions
from accounts.audit import Event
from accounts.errors import ReauthenticationFailed
from accounts.factors import passkeys, proofs, totp
from accounts.factors.proofs import FactorWrong
from accounts.kit import throttles
from accounts.kit.client import Client
from accounts.models import Session, User
from accounts.sign_in import by_factor, by_google, exchange, tries


@dataclass(frozen=True)
class Method:
    """One way to prove it, and its name in the claim `amr`. `proves` is asked only where the method is `offered`."""

    amr: str
    offered: Callable[[User], bool]
    proves: Callable[[User, Any, Client], bool]


@dataclass(frozen=True)
class FactorMethod:
    """One kind of second factor; `shown` gives the row that was proved, with the user's row held."""

    offered: Callable[[User], bool]
    shown: Callable[[User, Any, Client], Any]
    guessable: bool


def _knows_password(user: User, password: str, client: Client) -> bool:
    attempt = tries.of_holder(user, client)
    return passwords.verify(password, user.password, attempt).right


# By the name of the field that carries it.
METHODS = {
    "password": Method(amr="pwd", offered=User.has_usable_password, proves=_knows_password),
    "id_token": Method(
        amr=exchange.GOOGLE,
        offered=by_google.is_linked,
        proves=lambda user, token, client: by_google.proves(user, token),
    ),
}
FACTORS = {
    "code": FactorMethod(
        offered=lambda user: factors.of(user.pk, factors.Type.TOTP, factors.Type.RECOVERY_CODES).exists(),
        shown=lambda user, code, client: totp.use_code(user.pk, code),
        guessable=True,
    ),
    "credential": FactorMethod(
        offered=lambda user: factors.of(user.pk, factors.Type.WEBAUTHN).exists(),
        shown=lambda user, credential, client: passkeys.use(user.pk, credential, client=client),
        guessable=False,
    ),
}


def methods_of(user: User) -> list[str]:
    """Return what the account can send: only its factors, if it has any."""
    known: Any = FACTORS if user.mfa_enabled else METHODS
    return [name for name, method in known.items() if method.offered(user)]


def renew(session: Session, *, method: str, proof: Any, client: Client) -> sessions.ProofToken:
    """Return an access token that counts as recent. Raises ReauthenticationFailed, RateLimited, ServiceUnavailable."""
    if method in FACTORS:
        proofs_shown = _prove_factor(session, FACTORS[method], proof, client)
    elif session.user.mfa_enabled:
        raise ReauthenticationFailed
    else:
        prove(session, method=method, proof=proof, client=client)
        _note(session, client)
        proofs_shown = [*session.methods, METHODS[method].amr]
    return sessions.proof_token(session, proofs=list(dict.fromkeys(proofs_shown)))


def _prove_factor(session: Session, method: FactorMethod, proof: Any, client: Client) -> list[str]:
    """Return the methods of the session and of the factor that was shown."""

    @transaction.atomic
    def attempt() -> list[str] | None:
        user = User.objects.locked().get(pk=session.user_id)
        row = method.shown(user, proof, client)
        if row is None:
            return None
        by_factor.note_use(user, row, client=client)
        _note(session, client)
        return factors.with_factor(session.methods, row.type)

    try:
        return proofs.judged(
            session.user, attempt, client=client, session_id=session.pk, guessable=method.guessable
        )
    except FactorWrong as error:
        raise ReauthenticationFailed from error


def _note(session: Session, client: Client) -> None:
    audit.record(Event.REAUTHENTICATED, user_id=session.user_id, session_id=session.pk, client=client)


def prove(session: Session, *, method: str, proof: Any, client: Client) -> None:
    """Require a right proof. It is counted before it is looked at, so that parallel tries gain nothing.

    Only a wrong one stays counted. Raises ReauthenticationFailed, RateLimited or ServiceUnavailable.
    """
    user = session.user
    wrong = throttles.hit("wrong_proofs", str(session.pk))
    left = throttles.take(wrong)
    try:
        right = METHODS[method].offered(user) and METHODS[method].proves(user, proof, client)
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
