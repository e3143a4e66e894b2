"""Re-authenticate a signed-in user, as sensitive calls require (accounts/sessions/recency.py).

A full sign-in counts as recent for RECENT_SIGN_IN; a proof returns an access token that counts as recent (OWASP ASVS
7.5.3), and leaves the session and its other tokens unchanged. An account with a second factor must show it: a password
alone then proves nothing, as at sign-in. Wrong passwords are counted per session, across all calls, and wrong factors
together with those of signing in, so that a stolen session gives no extra guesses. Nor may it use up the attempts of
the owner, who has other sessions and signs in.
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
    """A way to re-authenticate and its `amr` value. `proves` is called only if the method is `offered`."""

    amr: str
    offered: Callable[[User], bool]
    proves: Callable[[User, Any, Client], bool]


@dataclass(frozen=True)
class FactorMethod:
    """A kind of second factor. `shown` returns the factor's row that was proved, with the user's row locked."""

    offered: Callable[[User], bool]
    shown: Callable[[User, Any, Client], Any]
    guessable: bool


def _knows_password(user: User, password: str, client: Client) -> bool:
    attempt = tries.of_holder(user, client)
    return passwords.verify(password, user.password, attempt).right


# Keyed by the name of the request field.
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
    """Return the names of the methods that the user can use: only second factors, if there are any."""
    known: Any = FACTORS if user.mfa_enabled else METHODS
    return [name for name, method in known.items() if method.offered(user)]


def renew(session: Session, *, method: str, proof: Any, client: Client) -> sessions.ProofToken:
    """Return an access token that counts as recent. Raise ReauthenticationFailed, RateLimited or ServiceUnavailable."""
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
    """Require a correct proof. It is counted before it is checked, so that parallel attempts gain nothing.

    Only a wrong one stays counted. Raise ReauthenticationFailed, RateLimited or ServiceUnavailable.
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
