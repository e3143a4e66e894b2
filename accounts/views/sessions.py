"""The user's signed-in devices, and re-authentication."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from accounts import sessions, tiers
from accounts.errors import ReauthenticationFailed, SessionNotFound
from accounts.kit.client import client_of
from accounts.kit.documentation import documented
from accounts.kit.problems import ValidationFailed
from accounts.kit.responses import Response
from accounts.models import Session
from accounts.sign_in import reauthentication
from accounts.tiers import AuthenticatedEndpoint, UserRequest
from accounts.views.answers import TOKENS_EXAMPLE


class SessionAnswer(msgspec.Struct, kw_only=True):
    id: UUID
    current: Annotated[bool, Meta(description="True for the session that makes this call.")]
    admin: Annotated[bool, Meta(description="True for a session in the admin, which only staff have.")]
    created_at: datetime
    last_used_at: datetime
    ip: str | None
    user_agent: str
    methods: Annotated[list[str], Meta(description="How the user signed in: RFC 8176 values.")]


SESSION_EXAMPLE = {
    "id": "0b6f1c1e-6c52-4d0b-8f0e-1f4b1f0a9c77",
    "current": True,
    "admin": False,
    "created_at": "2026-11-23T10:00:00Z",
    "last_used_at": "2026-11-23T11:30:00Z",
    "ip": "198.51.100.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "methods": ["pwd"],
}


class ProofToken(msgspec.Struct, kw_only=True):
    access_token: Annotated[str, Meta(description="Only this token carries the proof, for five minutes.")]
    token_type: str = "Bearer"  # noqa: S105
    expires_in: Annotated[int, Meta(description="Seconds until the access token expires.")]


class Sessions(AuthenticatedEndpoint):
    @documented("List your sessions", answer=SessionAnswer, paged=True, example=SESSION_EXAMPLE)
    def get(self, request: UserRequest) -> Response:
        """Lists the devices that are signed in, newest first."""
        page: Response = self.pages.page(
            sessions.live_of(request.user.pk),
            request,
            order=("-created_at", "-id"),
            bound_to={"user": request.user.pk},
            render=lambda session: session_answer(session, current=session.pk == request.auth.pk),
        )
        return page

    @documented("Sign out your other devices", status=204)
    def delete(self, request: UserRequest) -> Response:
        """Ends every session but this one, at once."""
        sessions.sign_out_others(request.auth, client=client_of(request))
        return Response(status=204)


class OneSession(AuthenticatedEndpoint):
    @documented("Sign out a device", status=204, problems=(SessionNotFound,))
    def delete(self, request: UserRequest, session_id: UUID) -> Response:
        """Ends that session at once. Another user's session is a 404."""
        sessions.end_one(request.auth, session_id, client=client_of(request))
        return Response(status=204)


class Reauthenticate(AuthenticatedEndpoint):
    works_without_factor = True
    limits = {"POST": ("wrong_proofs", "wrong_factors")}

    class Body(tiers.Body):
        password: str | None = None
        code: Annotated[str | None, Meta(description="From the authenticator app, or a recovery code.")] = (
            None
        )
        credential: Annotated[
            dict[str, Any] | None,
            Meta(description="A passkey's response to the options from POST /v1/auth/passkey/options."),
        ] = None
        id_token: Annotated[
            str | None, Meta(description="From the linked Google account, with a fresh nonce.")
        ] = None

    @documented(
        "Reauthenticate",
        answer=ProofToken,
        example={name: TOKENS_EXAMPLE[name] for name in ("access_token", "token_type", "expires_in")},
        body_example={"password": "a sentence that only I know"},
        problems=(ReauthenticationFailed,),
    )
    def post(self, request: UserRequest) -> Response:
        """Returns a new access token for this session, which sensitive calls accept for five minutes as if after a
        full sign-in. The session's other tokens stay as they are, and a refresh does not carry the proof over. Ten
        wrong attempts cause a pause.

        An account with a second factor must use one: `code` or `credential`.
        """
        given = {
            name: proof for name, proof in msgspec.structs.asdict(request.data).items() if proof is not None
        }
        if len(given) != 1:
            names = ", ".join(f"`{name}`" for name in (*reauthentication.METHODS, *reauthentication.FACTORS))
            raise ValidationFailed(("password", "required", f"Send exactly one of: {names}."))
        ((method, proof),) = given.items()
        proved = reauthentication.renew(request.auth, method=method, proof=proof, client=client_of(request))
        return Response(ProofToken(**proved._asdict()))


def session_answer(session: Session, *, current: bool) -> SessionAnswer:
    return SessionAnswer(
        id=session.pk,
        current=current,
        admin=session.door == Session.Door.ADMIN,
        created_at=session.created_at,
        last_used_at=session.last_used_at,
        ip=session.ip,
        user_agent=session.user_agent,
        methods=session.methods,
    )
