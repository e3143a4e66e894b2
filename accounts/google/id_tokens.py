"""Verify that an ID token is Google's, for us, and current, however it arrived.

The checks are those of OpenID Connect Core 1.0, 3.1.3.7, and of RFC 8725. Time is the database's clock, as for our own
tokens.
"""

import hashlib
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
from django.conf import settings
from jwt import PyJWKClient, PyJWKClientError

from accounts.google import network
from accounts.google.errors import GoogleEmailNotVerified, IdTokenInvalid
from accounts.kit import email_address

LONGEST_TOKEN = 8192
LONGEST_SUBJECT = 191  # the limit of SocialAccount; Google's have 21 digits
LEEWAY = 30
LONGEST_LIFE = 86_400  # seconds; Google's are valid for an hour
SECONDS_FOR_KEYS = 1.5
KEYS_LIFETIME = 3600
_OURS_TO_CHECK = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "nonce"]


class Identity(NamedTuple):
    """The person that a valid ID token names. The address is verified and in stored form."""

    subject: str
    email: str
    name: str
    nonce: str
    digest: str  # of the signed part, so that another encoding of the same token has the same one
    expires_at: int
    auth_time: int | None  # when its user last authenticated; only present on request


class Keys(PyJWKClient):
    """Google's public keys, cached for an hour. An unknown key id causes a new look-up, at most every 30 seconds."""

    def fetch_data(self) -> Any:
        return network.ask(super().fetch_data, seconds=SECONDS_FOR_KEYS)


@lru_cache(maxsize=4)
def keys(url: str) -> Keys:
    return Keys(url, lifespan=KEYS_LIFETIME, timeout=SECONDS_FOR_KEYS)


def verify(raw: str, *, audiences: list[str], now: float) -> Identity:
    """Return the identity in Google's token, without checking that its nonce is fresh.

    Raise IdTokenInvalid, GoogleEmailNotVerified or GoogleUnavailable.
    """
    claims = _signed_claims(raw, audiences)
    _check_audience(claims, audiences)
    _check_time(claims, now)
    subject, nonce = claims["sub"], claims["nonce"]
    if not (isinstance(nonce, str) and _is_subject(subject)):
        raise IdTokenInvalid
    return Identity(
        subject=subject,
        email=_verified_address(claims),
        name=claims["name"] if isinstance(claims.get("name"), str) else "",
        nonce=nonce,
        digest=hashlib.sha256(raw.rpartition(".")[0].encode()).hexdigest(),
        expires_at=claims["exp"],
        auth_time=claims.get("auth_time"),
    )


def _signed_claims(raw: str, audiences: list[str]) -> dict[str, Any]:
    """Return the claims, if one of Google's keys signed them with RS256 for one of the audiences."""
    if len(raw) > LONGEST_TOKEN or not raw.isascii():
        raise IdTokenInvalid
    try:
        header = jwt.get_unverified_header(raw)
        if header.get("alg") != "RS256" or not isinstance(header.get("kid"), str) or "crit" in header:
            raise IdTokenInvalid
        key = keys(settings.GOOGLE_JWKS_URL).get_signing_key(header["kid"])
        claims: dict[str, Any] = jwt.decode(
            raw,
            key,
            algorithms=["RS256"],
            audience=audiences,
            issuer=settings.GOOGLE_ISSUERS,
            options={"require": _REQUIRED, **_OURS_TO_CHECK},  # type: ignore[arg-type]
        )
    except (jwt.PyJWTError, PyJWKClientError, ValueError, TypeError, RecursionError) as error:
        raise IdTokenInvalid from error
    return claims


def _check_audience(claims: dict[str, Any], audiences: list[str]) -> None:
    """Require that every audience is ours, and that one of our clients requested the token."""
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if any(one not in audiences for one in audience) or (len(audience) > 1 and "azp" not in claims):
        raise IdTokenInvalid
    if "azp" in claims and claims["azp"] not in settings.GOOGLE_CLIENT_IDS:
        raise IdTokenInvalid


def _check_time(claims: dict[str, Any], now: float) -> None:
    times = [claims["exp"], claims["iat"], claims.get("nbf", claims["iat"])]
    if "auth_time" in claims and type(claims["auth_time"]) is not int:
        raise IdTokenInvalid
    if any(type(one) is not int for one in times):
        raise IdTokenInvalid
    expires_at, *begins = times
    if not now - LEEWAY < expires_at <= now + LONGEST_LIFE or max(begins) - LEEWAY > now:
        raise IdTokenInvalid


def _is_subject(subject: Any) -> bool:
    return (
        isinstance(subject, str)
        and 0 < len(subject) <= LONGEST_SUBJECT
        and subject.isascii()
        and subject.isprintable()
    )


def _verified_address(claims: dict[str, Any]) -> str:
    """Return the address. The claim must be `True` itself, since the text "false" is true in Python."""
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str):
        raise GoogleEmailNotVerified
    try:
        return email_address.parse(email)
    except email_address.InvalidEmail:
        raise GoogleEmailNotVerified from None
