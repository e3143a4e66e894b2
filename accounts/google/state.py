"""Tie the steps of a sign-in with Google together: a signed state, a nonce, PKCE, and the browser that started it.

Nothing is stored at the start. What comes back is spent by a row in PostgreSQL, and so used once, even if several
processes receive it at the same time. Times are the database's.
"""

import hashlib
import re
import secrets
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import connection, transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.google.errors import IdTokenInvalid, StateInvalid
from accounts.google.id_tokens import LEEWAY, Identity
from accounts.kit import base64url, clock

LONGEST_STATE = 2048
_BINDING = re.compile(r"[A-Za-z0-9_-]{43}")

_SPEND = """
INSERT INTO accounts_spentproof (digest, expires_at) VALUES (%s, to_timestamp(%s))
ON CONFLICT DO NOTHING
"""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The state that Google passes back unread. It is signed, not secret."""

    id: str
    purpose: Literal["sign_in", "link"]
    browser: str  # hash of the binding cookie
    began_at: int
    cancel_deletion: bool = False
    front_end_challenge: str = ""  # RFC 7636, from the front end that will exchange the code
    key: str = ""  # which secret the nonce and the verifier are derived from; the next process may begin with another
    # For a link, the requesting session; the state is void once it has ended.
    user_id: UUID | None = None
    session_id: UUID | None = None
    token_version: int = 0

    @property
    def nonce(self) -> str:
        return _derived("nonce", self.id, self.key)

    @property
    def code_verifier(self) -> str:
        """Return the RFC 7636 verifier. Only we can derive it from the id, which anyone may see."""
        return _derived("verifier", self.id, self.key)

    @property
    def code_challenge(self) -> str:
        return base64url.encode(hashlib.sha256(self.code_verifier.encode()).digest())

    def sealed(self) -> str:
        return _signer("state").sign(base64url.encode(msgspec.json.encode(self)))


_decoder = msgspec.json.Decoder(State)  # made by one thread: see accounts/kit/shapes.py


def new(purpose: Literal["sign_in", "link"], *, binding: str, **fields: Any) -> State:
    return State(
        id=secrets.token_urlsafe(16),
        purpose=purpose,
        browser=digest_of(binding),
        began_at=int(now()),
        key=_name_of(settings.SECRET_KEY),
        **fields,
    )


def new_binding() -> str:
    return secrets.token_urlsafe(32)


def digest_of(binding: str) -> str:
    """Return the stored form of a binding cookie."""
    return _hash(binding)


def is_binding(text: str) -> bool:
    """Return whether this may be one of ours; a cookie can contain anything, including line breaks."""
    return _BINDING.fullmatch(text) is not None


def use_state(text: str, *, binding: str) -> State:
    """Return the state, once, in the browser that started the sign-in. Raise StateInvalid."""
    state = _read(text)
    if not constant_time_compare(digest_of(binding), state.browser):
        raise StateInvalid
    expires_at = state.began_at + _lifetime()
    if expires_at <= now() or not _spend(_hash(f"state:{state.id}"), expires_at):
        raise StateInvalid
    return state


def _read(text: str) -> State:
    try:
        if len(text) > LONGEST_STATE:
            raise StateInvalid
        encoded = _signer("state").unsign(text)
        return _decoder.decode(base64url.decode(encoded.encode()))
    except (BadSignature, ValueError) as error:
        raise StateInvalid from error


# ---------------------------------------------------------------- nonces of clients that talk to Google themselves


def new_nonce() -> str:
    """Return a nonce for one ID token, signed with its time, and valid for as long as a sign-in may take."""
    return _signer("nonce").sign(f"{secrets.token_urlsafe(16)}.{int(now())}").replace(":", ".")


def use_token(identity: Identity) -> None:
    """Spend the nonce, which must be ours and fresh, together with the ID token. Raise IdTokenInvalid."""
    body, _, signature = identity.nonce.rpartition(".")
    try:
        began_at = int(_signer("nonce").unsign(f"{body}:{signature}").rpartition(".")[2])
    except (BadSignature, ValueError) as error:
        raise IdTokenInvalid from error
    expires_at = began_at + _lifetime()
    if expires_at <= now():
        raise IdTokenInvalid
    with transaction.atomic():
        if not _spend(_hash(f"nonce:{identity.nonce}"), expires_at):
            raise IdTokenInvalid
        spend_token(identity)


def spend_token(identity: Identity) -> None:
    """Spend an ID token. Raise IdTokenInvalid if it was used before."""
    if not _spend(_hash(f"id_token:{identity.digest}"), identity.expires_at + LEEWAY):
        raise IdTokenInvalid


# ---------------------------------------------------------------- steps


def _lifetime() -> int:
    return int(settings.GOOGLE_SIGN_IN_LIFETIME.total_seconds())


def now() -> float:
    """Return the database's time, in seconds since 1970."""
    return clock.now().timestamp()


def _spend(digest: str, expires_at: float) -> bool:
    """Spend a digest. Return True to exactly one of any number of concurrent callers."""
    with connection.cursor() as cursor:
        cursor.execute(_SPEND, [digest, float(expires_at)])
        return bool(cursor.rowcount == 1)


def _signer(use: str) -> Signer:
    return Signer(salt=f"accounts.google.{use}", algorithm="sha256")


def _derived(use: str, text: str, key: str) -> str:
    older = (one for one in settings.SECRET_KEY_FALLBACKS if _name_of(one) == key)
    secret = next(older, settings.SECRET_KEY)
    digest = salted_hmac(f"accounts.google.{use}", text, secret=secret, algorithm="sha256").digest()
    return base64url.encode(digest)


def _name_of(secret: str) -> str:
    return salted_hmac("accounts.google.key", "", secret=secret, algorithm="sha256").hexdigest()[:8]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
