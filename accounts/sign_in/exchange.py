"""Codes for a separate front end, which the browser brings and the front end exchanges for tokens.

A sign-in that ends in a redirect must not put tokens into a URL. A code can be exchanged once, within a minute. It is
an HMAC of its row's id, and stored nowhere. It says who has signed in; the exchange decides about admission, as on any
other path (accounts/sign_in/admission.py).

A code is valid only where its sign-in began; otherwise an attacker's code could sign people in to the attacker's
account. The browser shows its binding cookie. A front end that this cookie does not reach (another site, an app) starts
with a code challenge and shows the verifier (RFC 7636), which then alone decides.
"""

import hashlib
import re
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db.models.functions import Now
from django.utils.crypto import constant_time_compare

from accounts.errors import TokenInvalid
from accounts.google import state as google_state
from accounts.google.state import State
from accounts.kit import base64url, throttles
from accounts.kit.client import Client
from accounts.models import ExchangeCode, User
from accounts.sessions import TokenPair
from accounts.sign_in import admission

GOOGLE = "google"  # the `amr` value of a Google sign-in; RFC 8176 defines none
_LONGEST_CODE = 128
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636, 4.2: the method is S256, always
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # 4.1


def is_challenge(text: str) -> bool:
    return _CHALLENGE.fullmatch(text) is not None


def issue(user: User, state: State) -> str:
    """Return a code for a user who has just signed in with Google; only the browser that started can exchange it."""
    row = ExchangeCode.objects.create(
        user=user,
        cancel_deletion=state.cancel_deletion,
        account_state=user.state().hex(),
        browser=state.browser,
        code_challenge=state.front_end_challenge,
        expires_at=Now() + settings.EXCHANGE_CODE_LIFETIME,
    )
    return _signer().sign(row.pk.hex)


@admission.metered("exchange")
def use(code: str, *, binding: str | None, code_verifier: str | None, client: Client) -> TokenPair:
    """Exchange a code for a session; an attempt by another browser does not use it up.

    Raise TokenInvalid for a code that is unknown, used, expired, of another browser, or older than a change of password
    or address; RateLimited; and whatever `admit` raises.
    """
    throttles.take(*throttles.from_network("google", client.limited_ip))
    row = _row_of(code)
    if row is None or not _began_here(row, binding, code_verifier) or not _spend(row.pk):
        raise TokenInvalid
    if not row.user.is_in(bytes.fromhex(row.account_state)):
        raise TokenInvalid
    admission.require_verified(row.user)
    pair = admission.admit(row.user, methods=[GOOGLE], cancel_deletion=row.cancel_deletion, client=client)
    if pair is None:
        raise TokenInvalid  # the account changed in between
    return pair


def _row_of(code: str) -> ExchangeCode | None:
    code_id = _id_in(code)
    return ExchangeCode.objects.select_related("user").filter(pk=code_id).first() if code_id else None


def _began_here(row: ExchangeCode, binding: str | None, code_verifier: str | None) -> bool:
    """Return whether the caller started the sign-in.

    A verifier for a sign-in that began without a challenge is refused, since someone stripped the challenge.
    """
    if row.code_challenge or code_verifier is not None:
        return constant_time_compare(_challenge_of(code_verifier or ""), row.code_challenge)
    return binding is not None and constant_time_compare(google_state.digest_of(binding), row.browser)


def _challenge_of(verifier: str) -> str:
    if not _VERIFIER.fullmatch(verifier):
        return "-"  # matches no row, not even one without a challenge
    return base64url.encode(hashlib.sha256(verifier.encode()).digest())


def _id_in(code: str) -> UUID | None:
    try:
        return UUID(hex=_signer().unsign(code)) if len(code) <= _LONGEST_CODE else None
    except (BadSignature, ValueError):
        return None


def _spend(code_id: UUID) -> bool:
    live = ExchangeCode.objects.filter(pk=code_id, used_at=None, expires_at__gt=Now())
    return live.update(used_at=Now()) == 1


def _signer() -> Signer:
    return Signer(salt="accounts.exchange", algorithm="sha256")
