"""Identify the caller: the user behind an access token, or the service behind an API key.

`get_current_user`, `get_current_active_user` and `get_internal_service` are the three dependencies that the
specification names; each tier's permission class calls one of them (accounts/permissions.py).
"""

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, ExpiredTokenError, TokenError

from accounts import sessions
from accounts.errors import (
    AccessTokenExpired,
    AccessTokenInvalid,
    ApiKeyInvalid,
    ApiKeyMissing,
    EmailNotVerified,
    NotAuthenticated,
    SessionRevoked,
)
from accounts.models import Session, User
from accounts.service_keys.registry import ServiceCredential, registry
from accounts.sessions.tokens import SessionAccessToken


def get_current_user(request: Request) -> User:
    """Return the active user of a valid access token whose session has not ended (tier Authenticated).

    Raise NotAuthenticated, AccessTokenInvalid, AccessTokenExpired or SessionRevoked, all 401.
    """
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def get_current_active_user(request: Request) -> User:
    """Return the current user if the database now has their address as verified (tier Verified).

    Raise EmailNotVerified, 403.
    """
    user = get_current_user(request)
    if not user.email_verified:
        raise EmailNotVerified
    return user


def get_internal_service(request: Request) -> ServiceCredential:
    """Return the service behind a live API key (tier Internal Service).

    Raise ApiKeyMissing or ApiKeyInvalid, both 401.
    """
    if not isinstance(request.auth, ServiceCredential):
        raise ApiKeyMissing
    return request.auth


class JWTSessionAuthentication(JWTAuthentication):
    """simplejwt's authentication against our sessions: one query reads session, user and the database's clock."""

    def authenticate(self, request: Request) -> tuple[User, Session] | None:  # type: ignore[override]
        raw_token = self._raw_token(request)
        if raw_token is None:
            return None
        user, session, _ = authenticate_access_token(raw_token)
        return user, session

    def _raw_token(self, request: Request) -> bytes | None:
        header = self.get_header(request)
        if header and header[:7].lower() == b"bearer ":  # RFC 9110, 11.1: case-insensitive
            header = b"Bearer " + header[7:]
        try:
            return self.get_raw_token(header) if header is not None else None  # type: ignore[redundant-expr]
        except AuthenticationFailed as error:
            raise AccessTokenInvalid from error


def authenticate_access_token(raw_token: bytes) -> tuple[User, Session, SessionAccessToken]:
    """Return the user, session and parsed form of a live access token; introspection uses this too.

    Raise AccessTokenInvalid, AccessTokenExpired or SessionRevoked.
    """
    token = _decode(raw_token)
    reading = sessions.read(token.session_id, token.user_id)
    if reading is None:
        raise SessionRevoked
    _check_time(token, reading.now)
    if not reading.is_live(token_version=token["tv"]):
        raise SessionRevoked
    session = reading.session
    sessions.note_use_of_successor(session, issued_at=token["iat"])
    session.proved_at, session.proofs = token["auth_time"], token["amr"]
    return session.user, session, token


def _decode(raw_token: bytes) -> SessionAccessToken:
    try:
        return SessionAccessToken(raw_token)  # type: ignore[arg-type]
    except TokenError as error:
        raise AccessTokenInvalid from error


def _check_time(token: SessionAccessToken, now: float) -> None:
    try:
        token.check_time(now)
    except ExpiredTokenError as error:
        raise AccessTokenExpired from error
    except TokenError as error:
        raise AccessTokenInvalid from error


class ApiKeyAuthentication(BaseAuthentication):
    """Read `X-API-Key` and nothing else: a key in a query string would end up in logs."""

    def authenticate(self, request: Request) -> tuple[None, ServiceCredential] | None:
        text = request.META.get("HTTP_X_API_KEY")
        if text is None:
            return None
        credential = registry.find(text)
        if credential is None:
            raise ApiKeyInvalid
        return None, credential

    def authenticate_header(self, request: Request) -> str:
        return ApiKeyMissing.challenge
