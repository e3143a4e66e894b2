"""oidc-provider-mock with the features of Google that it lacks: key ids, PKCE (RFC 7636), verified addresses.

`/control/...` is for tests: it sets the token endpoint's next answers, and returns the private key to forge with.
"""

import json
import os
import time
from typing import Any

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback has no TLS

import flask
import oidc_provider_mock
from authlib.integrations import flask_oauth2
from authlib.oauth2.rfc7636 import CodeChallenge
from oidc_provider_mock import _app as provider

PEOPLE = {
    "108": {"email": "ada@gmail.test", "name": "Ada"},
    "109": {"email": "charles@gmail.test", "name": "Charles"},
}


class RememberingGrant(provider.AuthorizationCodeGrant):  # type: ignore[misc]
    """Keeps the challenge that the authorization request contained."""

    challenges: dict[str, str] = {}

    def save_authorization_code(self, code: str, request: Any) -> None:
        self.challenges[code] = request.payload.data.get("code_challenge", "")
        super().save_authorization_code(code, request)


class RequiredChallenge(CodeChallenge):  # type: ignore[misc]
    def get_authorization_code_challenge(self, authorization_code: Any) -> str | None:
        return RememberingGrant.challenges.get(authorization_code.code) or None

    def get_authorization_code_challenge_method(self, authorization_code: Any) -> str:
        return "S256"


class GoogleLikeTokens(provider.OpenIDCode):  # type: ignore[misc]
    def get_jwt_config(self, grant: Any, client: Any = None) -> dict[str, Any]:
        return {**super().get_jwt_config(grant, client), "kid": provider.storage.jwk.thumbprint()}

    def generate_user_info(self, user: Any, scope: str) -> dict[str, object]:
        claims = super().generate_user_info(user, scope)
        return {"email_verified": True, **claims} if "email" in claims else claims


class Server(flask_oauth2.AuthorizationServer):  # type: ignore[misc]
    def register_grant(self, grant: Any, extensions: Any = None) -> None:
        if grant is RememberingGrant:
            extensions = [*extensions, RequiredChallenge(required=True)]
        super().register_grant(grant, extensions)


def build() -> flask.Flask:
    provider.AuthorizationCodeGrant = RememberingGrant
    provider.OpenIDCode = GoogleLikeTokens
    flask_oauth2.AuthorizationServer = Server
    app: flask.Flask = oidc_provider_mock.app(
        user_claims=[oidc_provider_mock.User(sub=sub, claims=claims) for sub, claims in PEOPLE.items()]
    )
    add_control(app)
    return app


def add_control(app: flask.Flask) -> None:
    """Add routes that set the token endpoint's answers: `status`, `error`, `delay` (seconds), `id_token` (null:
    none).
    """
    orders: dict[str, Any] = {}
    counts = {"tokens": 0, "keys": 0}

    @app.post("/control/orders")
    def give_orders() -> Any:
        orders.clear()
        orders.update(flask.request.get_json())
        return counts

    @app.get("/control/key")
    def private_key() -> Any:
        return {**provider.storage.jwk.as_dict(is_private=True), "kid": provider.storage.jwk.thumbprint()}

    @app.after_request
    def follow_orders(response: flask.Response) -> flask.Response:
        counts["keys"] += flask.request.path == "/jwks"
        if flask.request.path != "/oauth2/token":
            return response
        counts["tokens"] += 1
        time.sleep(orders.get("delay", 0))
        if "status" in orders:
            response.status_code = orders["status"]
        if "error" in orders:
            response.set_data(json.dumps({"error": orders["error"]}))
        if "id_token" in orders and response.status_code == 200:
            response.set_data(json.dumps({**response.get_json(), "id_token": orders["id_token"]}))
        return response
