"""Ways for other services to check access tokens: introspection, or the public keys."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from django.conf import settings
from msgspec import UNSET, Meta, UnsetType

from accounts import sessions, tiers
from accounts.authentication import authenticate_access_token
from accounts.kit.documentation import documented
from accounts.kit.problems import Unauthenticated
from accounts.kit.responses import Response
from accounts.sessions.tokens import access_backend
from accounts.tiers import InternalEndpoint, PublicEndpoint, PublicRequest, ServiceRequest
from accounts.views.answers import TOKENS_EXAMPLE, USER_ID

KEYS_PATH = "/.well-known/jwks.json"
CACHED = {"Cache-Control": "public, max-age=300"}


class Introspection(msgspec.Struct, kw_only=True):
    """RFC 7662, 2.2. If the token is not live, `active` is the only member."""

    active: bool
    sub: UUID | UnsetType = UNSET
    sid: UUID | UnsetType = UNSET
    iat: int | UnsetType = UNSET
    exp: int | UnsetType = UNSET
    email_verified: bool | UnsetType = UNSET
    status: str | UnsetType = UNSET
    amr: list[str] | UnsetType = UNSET


class Introspect(InternalEndpoint):
    scope = "tokens:introspect"
    takes_forms = True

    class Body(tiers.Body):
        token: str
        token_type_hint: str | None = None

    @documented(
        "Introspect a token",
        answer=Introspection,
        example={
            "active": True,
            "sub": USER_ID,
            "sid": "0b6f1c1e-6c52-4d0b-8f0e-1f4b1f0a9c77",
            "iat": 1795428000,
            "exp": 1795431600,
            "email_verified": True,
            "status": "active",
            "amr": ["pwd"],
        },
        body_example={"token": TOKENS_EXAMPLE["access_token"]},
    )
    def post(self, request: ServiceRequest) -> Response:
        """Returns whether an access token is live now (RFC 7662): its session has not ended, its user is active, and a
        second factor was used where `MFA_REQUIRED` asks for one. Send JSON or a form.

        Anything else, including a refresh token, is `{"active": false}`.
        """
        try:
            user, session, token = authenticate_access_token(request.data.token.encode())
        except Unauthenticated:
            return Response(Introspection(active=False))
        if not sessions.shows_enough(session):
            return Response(Introspection(active=False))
        return Response(
            Introspection(
                active=True,
                sub=user.pk,
                sid=session.pk,
                iat=token["iat"],
                exp=token["exp"],
                email_verified=user.email_verified,
                status=user.status,
                amr=sessions.methods_of(session),
            )
        )


class KeySet(msgspec.Struct):
    """RFC 7517, 5."""

    keys: list[dict[str, Any]]


class PublicKeys(PublicEndpoint):
    mark = "public keys"
    no_store = False

    @documented("List the public signing keys", answer=KeySet, example={"keys": []})
    def get(self, request: PublicRequest) -> Response:
        """Returns the keys that verify access tokens, as a JWK set. HS256 keys, which are secret, are never listed."""
        return Response(KeySet(access_backend().public_keys()), headers=CACHED)


class ServerMetadata(msgspec.Struct):
    """RFC 8414, 2. It names no endpoints for authorization codes or ID tokens: this service issues neither."""

    issuer: Annotated[str, Meta(description="The `iss` claim of every token: TOKEN_ISSUER.")]
    jwks_uri: str
    response_types_supported: list[str]
    grant_types_supported: list[str]


class Metadata(PublicEndpoint):
    mark = "public keys"
    no_store = False

    @documented(
        "Get the server's metadata",
        answer=ServerMetadata,
        example={
            "issuer": "https://auth.example.com",
            "jwks_uri": f"https://auth.example.com{KEYS_PATH}",
            "response_types_supported": [],
            "grant_types_supported": [],
        },
    )
    def get(self, request: PublicRequest) -> Response:
        """Tells libraries that know the issuer where to find its public keys (RFC 8414). Set TOKEN_ISSUER to this
        service's https URL: libraries compare it with the URL they requested.
        """
        keys = f"{settings.PUBLIC_BASE_URL}{KEYS_PATH}"
        return Response(ServerMetadata(settings.TOKEN_ISSUER, keys, [], []), headers=CACHED)
