"""Access and refresh tokens, built on simplejwt's classes with a ring of keys.

A key id fixes one algorithm; the header never chooses it (RFC 8725, 3.1). Times are the database's: issuing takes `now`
from the statement that wrote the session, and checking compares with the clock of the statement that read it.
"""

import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, ClassVar, NamedTuple, Self

import jwt
from cryptography.hazmat.primitives.serialization import load_der_private_key
from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenBackendError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, Token

from accounts.errors import RefreshTokenInvalid
from accounts.kit import base64url
from accounts.kit.key_ring import ALGORITHMS, RingEntry
from accounts.models import Session


class Key(NamedTuple):
    """A key of the ring: its algorithm's name and implementation, and the keys that sign and verify."""

    name: str
    algorithm: Any
    signing: Any
    verifying: Any


class KeyRingBackend(TokenBackend):
    """A token backend with several keys: the first signs, all verify, each with its own algorithm only.

    Signatures are PyJWT's. Parsing is our own: PyJWT parses a token twice if its key depends on its header, and checks
    each character in Python, which took a third of an authenticated request.
    """

    def __init__(self, entries: Iterable[RingEntry], *, header_type: str) -> None:
        self.keys = {entry.kid: _load(entry) for entry in entries}
        self.signing_kid = next(iter(self.keys))
        self.header_type = header_type
        name = self.keys[self.signing_kid].name
        self._header = _segment({"alg": name, "typ": header_type, "kid": self.signing_kid})
        self._key_of = lru_cache(maxsize=64)(self._judge_header)
        super().__init__(
            name, None, "", api_settings.AUDIENCE, api_settings.ISSUER, None, api_settings.LEEWAY
        )

    def encode(self, payload: dict[str, Any]) -> str:
        key = self.keys[self.signing_kid]
        signed = f"{self._header}.{_segment({**payload, 'iss': self.issuer, 'aud': self.audience})}"
        return f"{signed}.{base64url.encode(key.algorithm.sign(signed.encode(), key.signing))}"

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002  simplejwt calls it so
        """Return the claims of a token signed by one of our keys.

        The token itself checks its times, by the database's clock. Raise TokenBackendError for any other token.
        """
        try:
            signed, signature = (token if isinstance(token, bytes) else token.encode()).rsplit(b".", 1)
            header, payload = signed.split(b".", 1)
            key = self._key_of(header)
            if not key.algorithm.verify(signed, key.verifying, base64url.decode(signature)):
                raise TokenBackendError("Token has a wrong signature")
            claims = json.loads(base64url.decode(payload))
        except (ValueError, RecursionError) as error:
            raise TokenBackendError("Token is malformed") from error
        if (
            not isinstance(claims, dict)
            or claims.get("iss") != self.issuer
            or claims.get("aud") != self.audience
        ):
            raise TokenBackendError("Token is for another issuer or audience")
        return claims

    def _judge_header(self, segment: bytes) -> Key:
        """Return the key that a header names. Raise TokenBackendError.

        Exactly our three parameters are accepted, so `jwk`, `jku`, `x5u` and `crit` are never read. The key id selects
        the key, the key fixes the algorithm, and the header must agree (RFC 8725, 3.1).
        """
        header = json.loads(base64url.decode(segment))
        if not isinstance(header, dict) or set(header) != {"alg", "typ", "kid"}:
            raise TokenBackendError("Token has a foreign header")
        key = self.keys.get(header["kid"]) if isinstance(header["kid"], str) else None
        if key is None or header["alg"] != key.name or header["typ"] != self.header_type:
            raise TokenBackendError("Token names no key of ours for its use")
        return key

    def public_keys(self) -> list[dict[str, Any]]:
        """Return the ring as JWKs (RFC 7517), without shared secrets: an HS256 key is never included."""
        return [
            {
                **key.algorithm.to_jwk(key.verifying, as_dict=True),
                "kid": kid,
                "use": "sig",
                "alg": key.name,
            }
            for kid, key in self.keys.items()
            if not key.name.startswith("HS")
        ]


def _load(entry: RingEntry) -> Key:
    if entry.algorithm not in ALGORITHMS:
        raise TokenBackendError(
            f"Key {entry.kid}: the algorithm must be one of {', '.join(sorted(ALGORITHMS))}"
        )
    algorithm = jwt.get_algorithm_by_name(entry.algorithm)
    if entry.algorithm == "HS256":
        return Key(entry.algorithm, algorithm, entry.material, entry.material)
    private: Any = load_der_private_key(entry.material, password=None)
    return Key(entry.algorithm, algorithm, private, private.public_key())


def _segment(part: dict[str, Any]) -> str:
    return base64url.encode(json.dumps(part, separators=(",", ":")).encode())


@cache
def access_backend() -> KeyRingBackend:
    return KeyRingBackend(settings.JWT_KEYS, header_type="at+jwt")


@cache
def refresh_backend() -> KeyRingBackend:
    return KeyRingBackend(settings.REFRESH_TOKEN_KEYS, header_type="rt+jwt")


SLOW_CLOCKS = 30  # seconds by which another service's clock may lag and still accept a fresh token


class SessionToken(Token):
    """A token of one session. `verify` checks its form, `check_time` its times, once the database's clock is known."""

    identifiers: ClassVar[tuple[str, ...]] = ("sub", "sid", "jti")
    numbers: ClassVar[tuple[str, ...]] = ("iat", "nbf", "exp", "tv")

    def verify(self) -> None:
        if not all(_is_uuid(self.payload.get(name)) for name in self.identifiers):
            raise TokenError("Token has a malformed identifier")
        if not all(type(self.payload.get(name)) is int for name in self.numbers):
            raise TokenError("Token has a malformed number")

    def check_time(self, now: float) -> None:
        """Check the times against `now`, in seconds since 1970, with the leeway from the settings.

        Raise ExpiredTokenError after `exp`, and TokenError before `nbf` or `iat`.
        """
        leeway = self.get_token_backend().get_leeway().total_seconds()
        if self.payload["exp"] + leeway <= now:
            raise ExpiredTokenError("Token is expired")
        if max(self.payload["nbf"], self.payload["iat"]) - leeway > now:
            raise TokenError("Token is not valid yet")

    @property
    def user_id(self) -> uuid.UUID:
        return uuid.UUID(self.payload["sub"])

    @property
    def session_id(self) -> uuid.UUID:
        return uuid.UUID(self.payload["sid"])

    @property
    def jti(self) -> uuid.UUID:
        return uuid.UUID(self.payload["jti"])

    @classmethod
    def _of(cls, claims: dict[str, Any]) -> Self:
        token = cls.__new__(cls)
        token.token, token.payload = None, claims
        return token


class SessionAccessToken(SessionToken, AccessToken):
    """An RFC 9068 access token, checked against its session on every request."""

    numbers = (*SessionToken.numbers, "auth_time")

    def get_token_backend(self) -> KeyRingBackend:
        return access_backend()

    @classmethod
    def for_session(
        cls,
        session: Session,
        token_version: int,
        *,
        email_verified: bool,
        now: datetime,
        proofs: list[str] | None = None,
    ) -> Self:
        """Return a token of the sign-in or, with `proofs`, of a user who has just re-authenticated by these methods.

        `email_verified` is for services that verify tokens with our public keys; our own tiers read the database.
        """
        issued = int(now.timestamp())
        return cls._of(
            {
                "sub": str(session.user_id),
                "sid": str(session.pk),
                "jti": str(uuid.uuid4()),
                "tv": token_version,
                "iat": issued,
                "nbf": issued - SLOW_CLOCKS,
                "exp": issued + int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()),
                "amr": session.methods if proofs is None else proofs,
                "email_verified": email_verified,
                "auth_time": issued if proofs is not None else int(session.created_at.timestamp()),
            }
        )


class SessionRefreshToken(SessionToken):
    """The one live refresh token of a session, built from the row alone: the same row yields the same bytes."""

    token_type = "refresh"  # noqa: S105
    lifetime = api_settings.REFRESH_TOKEN_LIFETIME

    def get_token_backend(self) -> KeyRingBackend:
        return refresh_backend()

    @classmethod
    def parse(cls, raw_token: str) -> Self:
        """Parse a token and check its signature, but not its times. Raise RefreshTokenInvalid."""
        try:
            return cls(raw_token.encode())  # type: ignore[arg-type]
        except TokenError as error:
            raise RefreshTokenInvalid from error

    @classmethod
    def for_session(cls, session: Session, token_version: int) -> Self:
        issued = int(session.current_issued_at.timestamp())
        return cls._of(
            {
                "sub": str(session.user_id),
                "sid": str(session.pk),
                "jti": str(session.current_jti),
                "tv": token_version,
                "iat": issued,
                "nbf": issued,
                "exp": int(session.current_expires_at.timestamp()),
            }
        )


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False
