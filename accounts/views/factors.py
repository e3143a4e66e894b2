"""The signed-in user's second factors. All calls are sensitive, and require a recent sign-in."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from accounts import factors, tiers
from accounts.errors import (
    EnrolmentCodeWrong,
    FactorNotFound,
    MFANotEnabled,
    PasskeyLimit,
    PasskeyRefused,
    StaffEnrolmentRequired,
    TOTPAlreadyEnabled,
)
from accounts.factors import changes
from accounts.factors import totp as mfa
from accounts.kit.client import client_of
from accounts.kit.documentation import documented
from accounts.kit.problems import ValidationFailed
from accounts.kit.responses import Response
from accounts.tiers import UserRequest, VerifiedEndpoint

AT = "2026-11-23T10:00:00Z"
PASSKEY_EXAMPLE = {"id": 7, "name": "My phone", "created_at": AT, "last_used_at": None}
CODES_EXAMPLE = [f"{number:04d}275813094462" for number in range(1041, 1051)]
OPTIONS_EXAMPLE = {
    "challenge": "u1mcsQjgFxSJBqYRIhQ0LH8XxJ6jGPS1UrVv3Yj7wZ4",
    "rp": {"id": "example.com", "name": "Auth Service"},
    "user": {"id": "fR9MYgpOS1OaPwxfLR9qEA", "name": "ada@example.com", "displayName": "Ada"},
    "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
}
ATTESTATION_EXAMPLE = {
    "id": "VpO5...",
    "rawId": "VpO5...",
    "type": "public-key",
    "response": {"clientDataJSON": "eyJ0eXBl...", "attestationObject": "o2NmbXRk..."},
}
Credential = Annotated[
    dict[str, Any], Meta(description="The browser's response, as returned by PublicKeyCredential.toJSON().")
]


class TOTPAnswer(msgspec.Struct):
    created_at: datetime
    last_used_at: datetime | None


class PasskeyAnswer(msgspec.Struct):
    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None


class Factors(msgspec.Struct, kw_only=True):
    enabled: bool
    totp: TOTPAnswer | None
    passkeys: list[PasskeyAnswer]
    recovery_codes_left: int


class Enrolment(msgspec.Struct, kw_only=True):
    """Shown once. All three contain the secret."""

    secret: str
    otpauth_url: str
    qr_svg: Annotated[str, Meta(description="The URL as a QR code, an SVG image.")]


class RecoveryCodes(msgspec.Struct):
    recovery_codes: Annotated[
        list[str], Meta(description="Each works once. Empty if the account already has some.")
    ]


class NewPasskey(msgspec.Struct, kw_only=True):
    passkey: PasskeyAnswer
    recovery_codes: list[str]


class FactorEndpoint(VerifiedEndpoint):
    needs_recent_sign_in = True
    works_without_factor = True


class MFA(FactorEndpoint):
    @documented(
        "List your second factors",
        answer=Factors,
        example={
            "enabled": True,
            "totp": {"created_at": AT, "last_used_at": AT},
            "passkeys": [PASSKEY_EXAMPLE],
            "recovery_codes_left": 9,
        },
    )
    def get(self, request: UserRequest) -> Response:
        """Lists the second factors of the account. With at least one, signing in takes two steps."""
        rows = list(factors.of(request.user.pk).order_by("pk"))
        totp = next((row for row in rows if row.type == factors.Type.TOTP), None)
        return Response(
            Factors(
                enabled=bool(rows),
                totp=TOTPAnswer(totp.created_at, totp.last_used_at) if totp else None,
                passkeys=[_passkey(row) for row in rows if row.type == factors.Type.WEBAUTHN],
                recovery_codes_left=mfa.recovery_codes_left(request.user.pk),
            )
        )


class TOTP(FactorEndpoint):
    limits = {"POST": ("factor_changes",)}

    @documented(
        "Start adding an authenticator app",
        answer=Enrolment,
        example={
            "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            "otpauth_url": "otpauth://totp/Auth%3Aada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Auth",
            "qr_svg": "<svg ...></svg>",
        },
        problems=(TOTPAlreadyEnabled, StaffEnrolmentRequired),
    )
    def post(self, request: UserRequest) -> Response:
        """Returns a new secret to show as a QR code. It takes effect once `confirm` receives a code from it, within 15
        minutes and in this session; until then nothing changes.
        """
        return Response(Enrolment(**changes.begin_totp(request.auth)._asdict()))

    @documented("Remove the authenticator app", status=204, problems=(FactorNotFound,))
    def delete(self, request: UserRequest) -> Response:
        """If it was the last factor, signing in takes one step again and the recovery codes become void."""
        changes.remove_totp(request.auth, client=client_of(request))
        return Response(status=204)


class ConfirmTOTP(FactorEndpoint):
    limits = {"POST": ("wrong_factors",)}

    class Body(tiers.Body):
        code: str

    @documented(
        "Add an authenticator app",
        answer=RecoveryCodes,
        example={"recovery_codes": CODES_EXAMPLE},
        body_example={"code": "492039"},
        problems=(EnrolmentCodeWrong, TOTPAlreadyEnabled),
    )
    def post(self, request: UserRequest) -> Response:
        """From then on, signing in takes a second step. Adding the first factor returns recovery codes, which are
        shown only here.
        """
        codes = changes.confirm_totp(request.auth, request.data.code, client=client_of(request))
        return Response(RecoveryCodes(codes))


class NewRecoveryCodes(FactorEndpoint):
    limits = {"POST": ("factor_changes",)}

    @documented(
        "Make new recovery codes",
        answer=RecoveryCodes,
        example={"recovery_codes": CODES_EXAMPLE},
        problems=(MFANotEnabled,),
    )
    def post(self, request: UserRequest) -> Response:
        """Returns ten new codes, which are shown only here. All older codes become void."""
        codes = changes.renew_recovery_codes(request.auth, client=client_of(request))
        return Response(RecoveryCodes(codes))


class PasskeyOptions(FactorEndpoint):
    limits = {"POST": ("factor_changes",)}

    @documented(
        "Start adding a passkey",
        answer=dict[str, Any],
        example=OPTIONS_EXAMPLE,
        problems=(PasskeyLimit, StaffEnrolmentRequired),
    )
    def post(self, request: UserRequest) -> Response:
        """Returns PublicKeyCredentialCreationOptionsJSON for navigator.credentials.create. The challenge works for five
        minutes.
        """
        return Response(changes.passkey_options(request.auth))


class Passkeys(FactorEndpoint):
    class Body(tiers.Body):
        credential: Credential
        name: Annotated[str, Meta(description="At most 100 characters.")] = ""

    @documented(
        "Add a passkey",
        answer=NewPasskey,
        status=201,
        example={"passkey": PASSKEY_EXAMPLE, "recovery_codes": CODES_EXAMPLE},
        body_example={"credential": ATTESTATION_EXAMPLE, "name": "My phone"},
        problems=(PasskeyRefused, PasskeyLimit, ValidationFailed),
    )
    def post(self, request: UserRequest) -> Response:
        """The passkey can sign in on its own, and serves as a second factor. Adding the first factor returns recovery
        codes, which are shown only here.
        """
        added = changes.add_passkey(
            request.auth, request.data.credential, name=request.data.name, client=client_of(request)
        )
        return Response(NewPasskey(passkey=_passkey(added.row), recovery_codes=added.recovery_codes), 201)


class OnePasskey(FactorEndpoint):
    @documented("Remove a passkey", status=204, problems=(FactorNotFound,))
    def delete(self, request: UserRequest, passkey_id: int) -> Response:
        """Another user's passkey is a 404. Removing the last factor voids the recovery codes."""
        changes.remove_passkey(request.auth, passkey_id, client=client_of(request))
        return Response(status=204)


def _passkey(row: Any) -> PasskeyAnswer:
    return PasskeyAnswer(row.pk, row.data["name"], row.created_at, row.last_used_at)
