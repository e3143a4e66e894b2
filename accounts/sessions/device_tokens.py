"""Device tokens, by which a known device can sign in while its account is attacked (OWASP: device cookies).

Each sign-in returns one. The token grants no access: it only gives the device its own allowance of password attempts,
which nobody else can use up. It is bound to the account and its `token_version`, so whatever ends all sessions (a
sign-out everywhere, a reset, the undo of an address change) ends it too. None is stored.
"""

import hashlib
import secrets

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.utils.crypto import constant_time_compare

from accounts.models import User

LONGEST = 256
_BYTES = 16


def issue(user: User) -> str:
    """Return a token for another device of this user."""
    device = secrets.token_urlsafe(_BYTES)
    return _signer().sign(f"{device}.{_bond(device, user)}")


def is_genuine(text: str) -> bool:
    """Return whether we issued this unexpired token, for any account: all that is known without a database query."""
    return _parts(text) is not None


def device_in(text: str, user: User | None) -> str | None:
    """Return the user's device that holds this token, or None if the token is another user's, expired or ended."""
    device, _, bond = (_parts(text) or "").partition(".")
    if user is None or not device or not constant_time_compare(bond, _bond(device, user)):
        return None
    return device


def _parts(text: str) -> str | None:
    try:
        return (
            _signer().unsign(text, max_age=settings.DEVICE_TOKEN_LIFETIME) if len(text) <= LONGEST else None
        )
    except BadSignature:
        return None


def _bond(device: str, user: User) -> str:
    """Bind a device to the account's current state. This hash needs no key, because the whole token is signed."""
    text = f"{device}:{user.pk}:{user.token_version}"
    return hashlib.blake2b(text.encode(), digest_size=_BYTES).hexdigest()


def _signer() -> TimestampSigner:
    return TimestampSigner(salt="accounts.device", algorithm="sha256", sep="~")
