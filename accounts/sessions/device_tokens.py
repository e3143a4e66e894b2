"""Make and check tokens by which a device is known again while its account is attacked (OWASP: device cookies).

Each sign-in gives one. It opens nothing: with it the device's own tries of the password count by themselves, so that
nobody else's can shut it out. It is bound to the account and its `token_version`: what ends all sessions ends it too (a
sign-out everywhere, a reset, the undo of a change of address). None is stored.
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
    """Return a token for one more device of this user."""
    device = secrets.token_urlsafe(_BYTES)
    return _signer().sign(f"{device}.{_bond(device, user)}")


def is_genuine(text: str) -> bool:
    """Return whether we made it, lately, for whomever: all that is known without a look at the database."""
    return _parts(text) is not None


def device_in(text: str, user: User | None) -> str | None:
    """Return which device of this user has the token; None where it is not theirs, has run out or was ended."""
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
    """Tie a device to an account as it is. Needs no key: it stands below a signature."""
    text = f"{device}:{user.pk}:{user.token_version}"
    return hashlib.blake2b(text.encode(), digest_size=_BYTES).hexdigest()


def _signer() -> TimestampSigner:
    return TimestampSigner(salt="accounts.device", algorithm="sha256", sep="~")
