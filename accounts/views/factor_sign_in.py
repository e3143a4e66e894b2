"""The second step of signing in, and signing in with a passkey."""

from typing import Annotated, Any

from msgspec import Meta

from accounts import tiers
from accounts.errors import AccountSuspended, DeletionPending, MFAInvalidCode, MFATokenInvalid, PasskeyInvalid
from accounts.kit.client import client_of
from accounts.kit.documentation import documented
from accounts.kit.problems import ValidationFailed
from accounts.kit.responses import Response
from accounts.sign_in import by_factor
from accounts.tiers import PublicEndpoint, PublicRequest
from accounts.views.answers import SIGN_IN_EXAMPLE, DeviceToken, Tokens, tokens

ASSERTION_EXAMPLE = {
    "id": "VpO5...",
    "rawId": "VpO5...",
    "type": "public-key",
    "response": {
        "clientDataJSON": "eyJ0eXBl...",
        "authenticatorData": "SZYN5YgO...",
        "signature": "MEUCIQ...",
        "userHandle": "fR9MYgpOS1OaPwxfLR9qEA",
    },
}
ONE_PROOF = ("code", "required", "Send either `code` or `credential`.")


class LoginMFA(PublicEndpoint):
    limits = {"POST": ("login_mfa", "wrong_factors")}

    class Body(tiers.Body):
        mfa_token: Annotated[str, Meta(description="From the `mfa_required` response.")]
        code: Annotated[str | None, Meta(description="From the authenticator app, or a recovery code.")] = (
            None
        )
        credential: Annotated[
            dict[str, Any] | None,
            Meta(
                description="A passkey's response to the options from POST /v1/auth/passkey/options with this "
                "`mfa_token`."
            ),
        ] = None
        device_token: DeviceToken = None

    @documented(
        "Finish signing in with a second factor",
        answer=Tokens,
        example=SIGN_IN_EXAMPLE,
        body_example={"mfa_token": "mfa_1Qk9...", "code": "492039"},
        problems=(
            MFATokenInvalid,
            MFAInvalidCode,
            AccountSuspended,
            DeletionPending,
            ValidationFailed,
        ),
    )
    def post(self, request: PublicRequest) -> Response:
        """Completes the sign-in that the first step started and opens its session. The token allows five attempts.
        After ten wrong factors for one account, in any call, its second step is paused for fifteen minutes (by
        default).
        """
        body = request.data
        if (body.code is None) == (body.credential is None):
            raise ValidationFailed(ONE_PROOF)
        pair = by_factor.finish(
            mfa_token=body.mfa_token,
            code=body.code,
            credential=body.credential,
            client=client_of(request, device_token=body.device_token),
        )
        return Response(tokens(pair))


class PasskeySignInOptions(PublicEndpoint):
    limits = {"POST": ("passkey_options",)}

    class Body(tiers.Body):
        mfa_token: Annotated[
            str | None, Meta(description="If sent, the options are for the second step of that sign-in.")
        ] = None

    @documented(
        "Start signing in with a passkey",
        answer=dict[str, Any],
        example={
            "challenge": "u1mcsQjgFxSJBqYRIhQ0LH8XxJ6jGPS1UrVv3Yj7wZ4",
            "rpId": "example.com",
            "userVerification": "required",
        },
        body_example={},
        problems=(MFATokenInvalid,),
    )
    def post(self, request: PublicRequest) -> Response:
        """Returns PublicKeyCredentialRequestOptionsJSON for navigator.credentials.get. The challenge works once,
        within five minutes. Without `mfa_token`, it is for signing in with the passkey alone or for `reauthenticate`.
        """
        return Response(by_factor.options_for(request.data.mfa_token, client=client_of(request)))


class PasskeyLogin(PublicEndpoint):
    limits = {"POST": ("passkey_login",)}

    class Body(tiers.Body):
        credential: dict[str, Any]
        cancel_deletion: Annotated[bool, Meta(description="Keep an account whose deletion is pending.")] = (
            False
        )
        device_token: DeviceToken = None

    @documented(
        "Sign in with a passkey",
        answer=Tokens,
        example=SIGN_IN_EXAMPLE,
        body_example={"credential": ASSERTION_EXAMPLE},
        problems=(PasskeyInvalid, AccountSuspended, DeletionPending),
    )
    def post(self, request: PublicRequest) -> Response:
        """A passkey that verifies its user counts as both factors: neither a password nor a second step is needed."""
        pair = by_factor.by_passkey(
            credential=request.data.credential,
            cancel_deletion=request.data.cancel_deletion,
            client=client_of(request, device_token=request.data.device_token),
        )
        return Response(tokens(pair))
