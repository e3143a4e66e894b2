"""Verifying access tokens, either by asking the service (introspection) or by the token alone (JWKS)."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from auth_service_client.errors import AuthServiceError, TokenRefused

LONGEST_CACHE = 10.0  # seconds: the contract's limit for introspection answers
LEEWAY = 30.0
MOST_CACHED = 10_000
LONGEST_TOKEN = 8192


@dataclass(frozen=True, slots=True)
class Identity:
    """The user of a live access token. `status` is None if only the token was checked."""

    user_id: str
    session_id: str
    email_verified: bool
    methods: tuple[str, ...]
    expires_at: int
    status: str | None = None

    @property
    def is_authenticated(self) -> bool:
        """Return True, for frameworks that ask."""
        return True

    @classmethod
    def of(cls, claims: Mapping[str, Any]) -> "Identity":
        """Return the identity in an introspection answer, or in the claims of a verified token."""
        return cls(
            user_id=claims["sub"],
            session_id=claims["sid"],
            email_verified=claims["email_verified"],
            methods=tuple(claims.get("amr") or ()),
            expires_at=claims["exp"],
            status=claims.get("status"),
        )


class Verifier(Protocol):
    """Anything that can verify an access token: Client, JWKSVerifier, testing.AcceptedTokens."""

    def verify_token(self, token: str) -> Identity:
        """Return the identity behind the token. Raise TokenRefused if it is not live."""
        ...


class AsyncVerifier(Protocol):
    """The same for asynchronous code: AsyncClient."""

    async def verify_token(self, token: str) -> Identity:
        """Return the identity behind the token. Raise TokenRefused if it is not live."""
        ...


def check_form(token: str) -> None:
    """Raise TokenRefused for text that cannot be an access token, so that junk causes no call."""
    if len(token) > LONGEST_TOKEN or token.count(".") != 2 or not token.isascii():
        raise TokenRefused("This is not an access token.")


class RecentAnswers:
    """Remembers the identities of live tokens for some seconds. Refusals are not kept, and tokens only as digests."""

    def __init__(self, seconds: float) -> None:
        if not 0 <= seconds <= LONGEST_CACHE:
            raise ValueError(f"Introspection is cached for 0 to {LONGEST_CACHE:.0f} seconds.")
        self._seconds = seconds
        self._answers: OrderedDict[bytes, tuple[float, Identity]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, token: str) -> Identity | None:
        with self._lock:
            until, identity = self._answers.get(_digest(token), (0.0, None))
        return identity if time.monotonic() < until else None

    def put(self, token: str, identity: Identity) -> None:
        lives = min(self._seconds, identity.expires_at - time.time())
        with self._lock:
            self._answers[_digest(token)] = (time.monotonic() + lives, identity)
            self._answers.move_to_end(_digest(token))
            if len(self._answers) > MOST_CACHED:
                self._answers.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class JWKSVerifier:
    """Verifies access tokens alone, with the service's public keys; needs `auth-service-client[jwks]`, but no API key.

    Until the token expires, it cannot see that its session was signed out, that the user was suspended, deleted or
    changed the password, or that the address has been verified since. If money or personal data depend on that, use
    `Client.verify_token`. The service has public keys only if it signs with EdDSA or ES256.

    It works in any thread. The keys are fetched again after five minutes, and at most once a minute for an unknown
    `kid`.
    """

    def __init__(self, jwks_url: str, *, issuer: str, audience: str) -> None:
        import jwt

        self._keys = jwt.PyJWKClient(jwks_url, lifespan=300, timeout=5)
        self._last_fetch = -60.0
        self._issuer, self._audience = issuer, audience

    def verify_token(self, token: str) -> Identity:
        """Return the identity behind the token. Raise TokenRefused, or AuthServiceError if the keys cannot be
        fetched.
        """
        import jwt

        check_form(token)
        try:
            head = jwt.get_unverified_header(token)
            if head.get("typ") != "at+jwt":
                raise TokenRefused("This is not an access token.")
            key = self._key(str(head.get("kid")))
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": ["exp", "nbf", "iat", "iss", "aud", "sub", "sid"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(str(error)) from error
        return Identity.of(claims)

    def _key(self, kid: str) -> Any:
        for key in self._fetched():
            if key.key_id == kid:
                return key
        if time.monotonic() - self._last_fetch >= 60:
            self._last_fetch = time.monotonic()
            for key in self._fetched(refresh=True):
                if key.key_id == kid:
                    return key
        raise TokenRefused("The token names a key that the service does not have.")

    def _fetched(self, *, refresh: bool = False) -> list[Any]:
        import jwt

        try:
            return self._keys.get_signing_keys(refresh=refresh)
        except (jwt.PyJWKClientError, jwt.PyJWKSetError, OSError, ValueError) as error:
            raise AuthServiceError(f"The service's public keys are not to be had: {error}") from error
