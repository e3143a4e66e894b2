"""The Python client judges access tokens: by introspection, which sees this moment, and by public keys alone."""

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from pytest_django.live_server_helper import LiveServer
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from accounts import sessions
from accounts.kit import base64url
from accounts.models import User
from accounts.sessions import tokens as our_tokens
from auth_service_client import AsyncClient, AuthServiceError, Client, JWKSVerifier, TokenRefused
from auth_service_client import django as middleware
from auth_service_client.drf import AccessTokenAuthentication, IsVerified
from auth_service_client.testing import AcceptedTokens, identity
from config.settings.environment import key_ring
from free_ports import free_port
from tests.clients.conftest import KEY
from tests.clients.lossy_proxy import LossyProxy

pytestmark = pytest.mark.django_db(transaction=True)
JUNK = ["", "x", "a.b", "a.b.c.d", "ä.b.c", f"a.b.{'c' * 9000}"]


@pytest.fixture
def token(verified_user: User, access_token: Callable[[User], str]) -> str:
    return access_token(verified_user)


def sign_out(user: User) -> None:
    with transaction.atomic():
        sessions.end_all(user.pk, reason=sessions.EndReason.LOGOUT_ALL)


class TestIntrospection:
    def test_a_live_token_names_its_user(self, client: Client, token: str, verified_user: User) -> None:
        found = client.verify_token(token)
        assert found.user_id == str(verified_user.pk)
        assert (found.email_verified, found.status, found.methods) == (True, "active", ("pwd",))

    def test_an_answer_is_kept_for_some_seconds(self, client: Client, proxy: LossyProxy, token: str) -> None:
        assert client.verify_token(token) == client.verify_token(token)
        assert len(proxy.seen) == 1

    def test_without_a_cache_a_sign_out_is_seen_at_once(
        self, url: str, token: str, verified_user: User
    ) -> None:
        with Client(url, KEY, cache_seconds=0) as client:
            client.verify_token(token)
            sign_out(verified_user)
            with pytest.raises(TokenRefused):
                client.verify_token(token)

    def test_nothing_is_kept_longer_than_ten_seconds(self) -> None:
        with pytest.raises(ValueError, match="10 seconds"):
            Client("http://127.0.0.1", KEY, cache_seconds=11)

    @pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
    def test_junk_is_refused_without_asking(self, client: Client, proxy: LossyProxy, junk: str) -> None:
        with pytest.raises(TokenRefused):
            client.verify_token(junk)
        assert proxy.seen == []

    def test_a_token_like_one_is_asked_about_and_refused(self, client: Client, proxy: LossyProxy) -> None:
        with pytest.raises(TokenRefused):
            client.verify_token("a.b.c")
        assert len(proxy.seen) == 1

    def test_asynchronous_code_asks_the_same(self, url: str, token: str, verified_user: User) -> None:
        async def verify() -> str:
            async with AsyncClient(url, KEY) as client:
                return (await client.verify_token(token)).user_id

        assert asyncio.run(verify()) == str(verified_user.pk)


@pytest.fixture
def signs_with_eddsa(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    monkeypatch.setenv("JWT_KEYS", f"ed:EdDSA:{base64url.encode(key)}")
    with override_settings(JWT_KEYS=key_ring("JWT_KEYS"), ROOT_URLCONF="config.urls.public"):
        our_tokens.access_backend.cache_clear()
        yield
    our_tokens.access_backend.cache_clear()


def verifier(server: LiveServer, **changes: str) -> JWKSVerifier:
    said = {"issuer": settings.TOKEN_ISSUER, "audience": settings.TOKEN_AUDIENCE, **changes}
    return JWKSVerifier(f"{server.url}/.well-known/jwks.json", **said)


@pytest.mark.usefixtures("signs_with_eddsa")
class TestPublicKeys:
    @pytest.fixture
    def token(self, verified_user: User, access_token: Callable[[User], str]) -> str:
        return access_token(verified_user)

    def test_a_token_is_judged_alone(self, live_server: LiveServer, token: str, verified_user: User) -> None:
        found = verifier(live_server).verify_token(token)
        assert (found.user_id, found.email_verified, found.status) == (str(verified_user.pk), True, None)

    def test_a_sign_out_is_not_seen_as_the_documentation_says(
        self, live_server: LiveServer, token: str, verified_user: User
    ) -> None:
        sign_out(verified_user)
        assert verifier(live_server).verify_token(token).user_id == str(verified_user.pk)
        assert "cannot see" in (JWKSVerifier.__doc__ or "")

    @pytest.mark.parametrize("change", [{"issuer": "another"}, {"audience": "another"}])
    def test_tokens_of_others_are_refused(
        self, live_server: LiveServer, token: str, change: dict[str, str]
    ) -> None:
        with pytest.raises(TokenRefused):
            verifier(live_server, **change).verify_token(token)

    def test_a_refresh_token_is_refused(
        self, live_server: LiveServer, public: SimpleNamespace, verified_user: User
    ) -> None:
        from tests.fixtures import PASSWORD

        body = {"email": verified_user.email, "password": PASSWORD}
        pair = public.post("/v1/auth/login", body).json()
        assert verifier(live_server).verify_token(pair["access_token"]).user_id == str(verified_user.pk)
        with pytest.raises(TokenRefused):
            verifier(live_server).verify_token(pair["refresh_token"])

    def test_a_changed_token_is_refused(self, live_server: LiveServer, token: str) -> None:
        head, claims, signature = token.split(".")
        with pytest.raises(TokenRefused):
            verifier(live_server).verify_token(f"{head}.{claims}.{signature[::-1]}")


def test_a_service_without_public_keys_is_told_from_a_bad_token(
    live_server: LiveServer, settings: SimpleNamespace, token: str
) -> None:
    settings.ROOT_URLCONF = "config.urls.public"
    with pytest.raises(AuthServiceError, match="public keys") as caught:
        verifier(live_server).verify_token(token)
    assert not isinstance(caught.value, TokenRefused)


def test_a_page_in_the_place_of_the_keys_is_told_from_a_bad_token(
    live_server: LiveServer, settings: SimpleNamespace, token: str
) -> None:
    settings.ROOT_URLCONF = "config.urls.public"
    with pytest.raises(AuthServiceError, match="public keys") as caught:
        JWKSVerifier(f"{live_server.url}/docs", issuer="us", audience="them").verify_token(token)
    assert not isinstance(caught.value, TokenRefused)


class Report(APIView):
    authentication_classes = [AccessTokenAuthentication]
    permission_classes = [IsVerified]
    renderer_classes = [JSONRenderer]

    def get_exception_handler(self):
        """Return DRF's own, as a service has it: this project's is another."""
        return exception_handler

    def get(self, request: Request) -> Response:
        return Response({"user": getattr(request.user, "user_id", None)})


class Open(Report):
    permission_classes = [IsAuthenticated]


@middleware.signed_in
def report(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.identity.user_id)  # type: ignore[attr-defined]


@pytest.fixture
def asking(url: str, settings: SimpleNamespace) -> Iterator[None]:
    """AUTH_SERVICE as a service of its own has it."""
    settings.AUTH_SERVICE = {"url": url, "api_key": KEY, "patience": 0.5}
    middleware.verifier.cache_clear()
    yield
    verifier = middleware.verifier()
    if isinstance(verifier, Client):
        verifier.close()
    middleware.verifier.cache_clear()


def ask(view: Callable[[HttpRequest], Any], token: str | None) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return view(RequestFactory().get("/report", headers=headers))


@pytest.mark.usefixtures("asking")
class TestDjango:
    guarded = [
        pytest.param(middleware.AccessTokenMiddleware(report), id="middleware"),
        pytest.param(Report.as_view(), id="DRF"),
    ]

    @pytest.mark.parametrize("view", guarded)
    def test_a_live_token_gets_in(self, view, token, verified_user):
        answer = ask(view, token)
        assert answer.status_code == 200
        assert str(verified_user.pk) in (
            answer.content.decode() if not hasattr(answer, "data") else answer.data["user"]
        )

    @pytest.mark.parametrize("view", guarded)
    @pytest.mark.parametrize("wrong", [None, "x", "a.b.c"])
    def test_without_one_it_is_401_with_a_challenge(self, view, wrong):
        answer = ask(view, wrong)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("view", guarded)
    def test_an_address_that_is_not_verified_is_403(self, view, user, access_token):
        assert ask(view, access_token(user)).status_code == 403

    def test_a_view_may_let_it_pass(self, user, access_token):
        assert ask(Open.as_view(), access_token(user)).status_code == 200

    @pytest.mark.parametrize("view", guarded)
    def test_while_the_service_is_away_it_is_503(self, view, token, settings):
        settings.AUTH_SERVICE = {"url": f"http://127.0.0.1:{free_port()}", "api_key": KEY, "patience": 0}
        middleware.verifier.cache_clear()
        assert ask(view, token).status_code == 503

    def test_a_verifier_of_tests_takes_its_place(self, settings):
        accepted = AcceptedTokens()
        settings.AUTH_SERVICE = {"verifier": accepted}
        middleware.verifier.cache_clear()
        token = accepted.give(identity(user_id="u1"))
        view = middleware.AccessTokenMiddleware(report)
        assert ask(view, token).content == b"u1"
        accepted.revoke(token)
        assert ask(view, token).status_code == 401
