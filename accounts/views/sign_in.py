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
        """Opens a session on a new device. The state of an account is told only with its right password.

        While strangers guess at the account, its owner gets in from a network where it was seen within 30 days, and
        with `device_token` from everywhere.
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
        """Answers new tokens; the old refresh token is used up.

        A repeat within 60 seconds gets the same successor, so a lost answer can be asked for again. With an
        `Idempotency-Key`, the same for each try with this token, it does for ten minutes (both as the service is set
        up by default), until one of the successor's tokens is used. Other repeats end the session: somebody has a copy.
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
        """The refresh token decides where there is one: whatever access token comes along is not looked at."""
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
        """Ends this session at once: that of the refresh token in the body or, without one, of the access token.

        A refresh token that was superseded or has expired ends its session as well, and no other; a session that is
        over already is a 204.
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
        """Ends every session of the user at once, this one included."""
        sessions.sign_out_everywhere(request.auth, client=client_of(request))
        return Response(status=204)
