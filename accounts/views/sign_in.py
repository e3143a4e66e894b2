"""Signing in, staying signed in, signing out."""

from typing import Annotated

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
from accounts.kit.problems import RateLimited, ServiceUnavailable
from accounts.kit.responses import Response
from accounts.sign_in import by_password
from accounts.tiers import AuthenticatedEndpoint, PublicEndpoint, PublicRequest, UserRequest
from accounts.views.answers import EMAIL, TOKENS_EXAMPLE, Tokens, tokens


class Login(PublicEndpoint):
    limits = {"POST": ("login", "login_failures")}

    class Body(tiers.Body):
        email: str
        password: str
        cancel_deletion: Annotated[bool, Meta(description="Keep an account whose deletion is pending.")] = (
            False
        )

    @documented(
        "Sign in",
        answer=Tokens,
        example=TOKENS_EXAMPLE,
        body_example={"email": EMAIL, "password": "a sentence that only I know"},
        problems=(
            InvalidCredentials,
            MFARequired,
            AccountSuspended,
            DeletionPending,
            RateLimited,
            ServiceUnavailable,
        ),
    )
    def post(self, request: PublicRequest) -> Response:
        """Opens a session on a new device. The state of an account is told only with its right password."""
        body = request.data
        pair = by_password.sign_in(
            email=body.email,
            password=body.password,
            cancel_deletion=body.cancel_deletion,
            client=client_of(request),
        )
        return Response(tokens(pair))


class Refresh(PublicEndpoint):
    limits = {"POST": ("refresh",)}
    mark = "refresh token"

    class Body(tiers.Body):
        refresh_token: str

    @documented(
        "Exchange the refresh token",
        answer=Tokens,
        example=TOKENS_EXAMPLE,
        body_example={"refresh_token": TOKENS_EXAMPLE["refresh_token"]},
        problems=(
            RefreshTokenInvalid,
            RefreshTokenExpired,
            RefreshTokenReused,
            RefreshSessionRevoked,
            RateLimited,
            ServiceUnavailable,
        ),
    )
    def post(self, request: PublicRequest) -> Response:
        """Answers new tokens; the old refresh token is used up.

        A repeat within 60 seconds gets the same successor, so a lost answer can be asked for again. Older ones end the
        session: somebody else has a copy.
        """
        return Response(tokens(sessions.rotate(request.data.refresh_token, client=client_of(request))))


class Logout(AuthenticatedEndpoint):
    @documented("Sign out", status=204)
    def post(self, request: UserRequest) -> Response:
        """Ends this session at once."""
        sessions.end(request.auth, reason=sessions.EndReason.LOGOUT, client=client_of(request))
        return Response(status=204)


class LogoutAll(AuthenticatedEndpoint):
    @documented("Sign out everywhere", status=204)
    def post(self, request: UserRequest) -> Response:
        """Ends every session of the user at once, this one included."""
        sessions.sign_out_everywhere(request.auth, client=client_of(request))
        return Response(status=204)
