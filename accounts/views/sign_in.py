"""Signing in, staying signed in, signing out."""

from typing import Annotated, Any

from msgspec import Meta

from accounts import sessions, tiers
from accounts.errors import (
    AccountSuspended,
    DeletionPending,
    InvalidCredentials,
    MFARequired,
    RefreshSessionRevoked,
    RefreshTokenExpired,
    RefreshTokenInvalid,
    RefreshTokenReused,
)
from accounts.kit.client import client_of
from accounts.kit.documentation import documented
from accounts.kit.problems import IdempotencyKeyInvalid
from accounts.kit.responses import Response
from accounts.sign_in import by_password
from accounts.tiers import (
    AuthenticatedEndpoint,
    EndpointRequest,
    PublicEndpoint,
    PublicRequest,
    UserRequest,
    optional_idempotency_key,
)
from accounts.views.answers import EMAIL, SIGN_IN_EXAMPLE, TOKENS_EXAMPLE, DeviceToken, Tokens, tokens


class Login(PublicEndpoint):
    limits = {"POST": ("login", "login_failures")}

    class Body(tiers.Body):
        email: str
        password: str
        cancel_deletion: Annotated[bool, Meta(description="Keep an account whose deletion is pending.")] = (
            False
        )
        device_token: DeviceToken = None

    @documented(
        "Sign in",
        answer=Tokens,
        example=SIGN_IN_EXAMPLE,
        body_example={"email": EMAIL, "password": "a sentence that only I know"},
        problems=(
            InvalidCredentials,
            MFARequired,
            AccountSuspended,
            DeletionPending,
        ),
    )
    def post(self, request: PublicRequest) -> Response:
        """Opens a session on a new device. The account's state is revealed only to someone who knows its password.

        While someone is guessing the password, the owner can still sign in from a network that the account used within
        the last 30 days, and from anywhere with `device_token`.
        """
        body = request.data
        pair = by_password.sign_in(
            email=body.email,
            password=body.password,
            cancel_deletion=body.cancel_deletion,
            client=client_of(request, device_token=body.device_token),
        )
        return Response(tokens(pair))


class Refresh(PublicEndpoint):
    limits = {"POST": ("refresh",)}
    mark = "refresh token"

    class Body(tiers.Body):
        refresh_token: str

    @documented(
        "Refresh your tokens",
        answer=Tokens,
        example=TOKENS_EXAMPLE,
        body_example={"refresh_token": TOKENS_EXAMPLE["refresh_token"]},
        repeatable=True,
        problems=(
            RefreshTokenInvalid,
            RefreshTokenExpired,
            RefreshTokenReused,
            RefreshSessionRevoked,
            IdempotencyKeyInvalid,
        ),
    )
    def post(self, request: PublicRequest) -> Response:
        """Returns new tokens; the old refresh token is used up.

        Repeating the call within 60 seconds returns the same tokens, so a lost response can be requested again. With
        an `Idempotency-Key`, the same for every attempt with this token, that works for ten minutes (both by default),
        until one of the new tokens is used. Any other repeat ends the session, because someone has a copy of the
        token.
        """
        pair = sessions.rotate(
            request.data.refresh_token, key=optional_idempotency_key(request), client=client_of(request)
        )
        return Response(tokens(pair))


class Logout(AuthenticatedEndpoint):
    mark = "refresh token"
    works_without_factor = True

    class Body(tiers.Body):
        refresh_token: Annotated[
            str | None, Meta(description="Instead of an access token, which may have expired.")
        ] = None

    def admit(self, request: EndpointRequest) -> None:
        """Let the refresh token decide if there is one; an access token sent with it is then not checked."""
        body: Any = request.data if request.method == "POST" else None
        if body is None or body.refresh_token is None:
            super().admit(request)

    @documented(
        "Sign out",
        status=204,
        body_example={"refresh_token": TOKENS_EXAMPLE["refresh_token"]},
        problems=(RefreshTokenInvalid,),
    )
    def post(self, request: UserRequest) -> Response:
        """Ends a session at once: that of the refresh token in the body or, without one, of the access token.

        A superseded or expired refresh token also ends its own session, and no other. If the session has already
        ended, the response is still 204.
        """
        if request.data.refresh_token is not None:
            sessions.end_by_token(request.data.refresh_token, client=client_of(request))
        else:
            sessions.end(request.auth, reason=sessions.EndReason.LOGOUT, client=client_of(request))
        return Response(status=204)


class LogoutAll(AuthenticatedEndpoint):
    works_without_factor = True

    @documented("Sign out everywhere", status=204)
    def post(self, request: UserRequest) -> Response:
        """Ends all sessions of the user at once, including this one."""
        sessions.sign_out_everywhere(request.auth, client=client_of(request))
        return Response(status=204)
