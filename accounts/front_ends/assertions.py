"""Check X-Client-Assertion: a JWT with which a front end's server names the client whose request it passes on.

It affects one thing only, the limits by network, because a server with a thousand people behind it is not one client.
Limits by account are unaffected, each front end has a ceiling of its own, and an asserted address never counts as a
network where an account was seen.

An invalid assertion counts as none, whatever is wrong with it, and the limit of the server's own address applies. So
nobody learns what was wrong, and a server whose clock is off is slowed down rather than shut out.
"""

import time
from typing import Any

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings

from accounts.front_ends import keys
from accounts.kit import throttles
from accounts.kit.client import as_address
from accounts.kit.problems import RateLimited
from accounts.models import FrontEndKey

HEADER = "HTTP_X_CLIENT_ASSERTION"  # Django's name for it
ALGORITHM, TYPE = "EdDSA", "client-assertion+jwt"
LIFETIME = 60  # seconds from `iat` to `exp` at most
LEEWAY = 30  # seconds by which clocks may differ
LONGEST = 2048
CLAIMS = ("ip", "aud", "jti", "iat", "exp")
LONGEST_ID = 128

log = structlog.get_logger("assertions")


def asserted_address(text: str) -> str | None:
    """Return the address in a valid assertion, and use the assertion up; None for any other text.

    The log has the kind of fault: RateLimited if it was used before, or if the front end has sent too many.
    """
    try:
        key, claims = _read(text)
        address = as_address(str(claims["ip"]))
        _require(address is not None, "ip")
        throttles.take(throttles.hit("assertion", key.pk, claims["jti"]), throttles.hit("asserted", key.name))
    except (jwt.PyJWTError, RateLimited, ValueError, TypeError, OverflowError, RecursionError) as error:
        log.warning("assertion_not_good", reason=type(error).__name__)
        return None
    return address


def _read(text: str) -> tuple[FrontEndKey, dict[str, Any]]:
    """Return the key that signed it, and the claims. Raise PyJWTError."""
    _require(len(text) <= LONGEST, "length")
    header = jwt.get_unverified_header(text)
    known = header.keys() == {"alg", "typ", "kid"} and (header["alg"], header["typ"]) == (ALGORITHM, TYPE)
    _require(known and keys.ID_FORM.fullmatch(header["kid"]) is not None, "header")
    key = FrontEndKey.objects.filter(pk=header["kid"], revoked_at=None).first()
    if key is None:
        raise jwt.InvalidKeyError("kid")
    claims: dict[str, Any] = jwt.decode(
        text,
        Ed25519PublicKey.from_public_bytes(bytes(key.public_key)),
        algorithms=[ALGORITHM],
        audience=settings.PUBLIC_BASE_URL,
        leeway=LEEWAY,
        options={"require": list(CLAIMS), "strict_aud": True},
    )
    _require(int(claims["exp"]) - int(claims["iat"]) <= LIFETIME, "exp")
    _require(int(claims["exp"]) <= time.time() + LIFETIME + LEEWAY, "exp")
    _require(isinstance(claims["jti"], str) and 0 < len(claims["jti"]) <= LONGEST_ID, "jti")
    return key, claims


def _require(holds: bool, what: str) -> None:  # noqa: FBT001
    if not holds:
        raise jwt.InvalidTokenError(what)
