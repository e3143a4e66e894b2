"""Access tokens under attack, introspection, and the public keys. Every forgery is a 401 and never a 5xx."""

import base64
import json
import time
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from accounts.models import User
from accounts.sessions import tokens
from accounts.tests.conftest import PASSWORD, outcome, statements
from tests.fixtures import issue_access_token

EMAIL = "ada@example.com"
KEY = settings.JWT_KEYS[0]
HEADER = {"alg": "HS256", "typ": "at+jwt", "kid": KEY.kid}


def encoded(part):
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header, claims, key=KEY.material):
    """A token as an attacker who holds `key` writes it: any header, any claims."""
    text = f"{encoded(header)}.{encoded(claims)}"
    return f"{text}.{encoded(jwt.get_algorithm_by_name('HS256').sign(text.encode(), key))}"


@pytest.fixture
def ada(make_user):
    return make_user(EMAIL, password=PASSWORD)


@pytest.fixture
def pair(ada, sign_in):
    return sign_in(EMAIL)


@pytest.fixture
def claims(pair):
    return jwt.decode(pair["access_token"], options={"verify_signature": False})


@pytest.fixture
def refused(public):
    def refused(token, code="access_token_invalid"):
        answer = public.get("/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {token}")
        assert answer.status_code in {200, 401}
        assert answer.status_code == 200 or answer["WWW-Authenticate"].startswith("Bearer")
        return outcome(answer) == (401, code)

    return refused


@pytest.mark.django_db
class TestForgedTokens:
    def test_the_genuine_one_is_accepted(self, public, claims):
        assert public.with_token(signed(HEADER, claims)).get("/v1/auth/me").status_code == 200

    def test_claims_are_those_of_the_contract(self, claims, ada, pair):
        names = ["sub", "sid", "tv", "iat", "nbf", "exp", "jti", "iss", "aud", "amr"]
        names += ["auth_time", "email_verified"]
        assert sorted(claims) == sorted(names)
        assert (claims["sub"], claims["amr"], claims["exp"] - claims["iat"]) == (str(ada.pk), ["pwd"], 3600)
        assert jwt.get_unverified_header(pair["access_token"]) == HEADER
        assert EMAIL not in base64.urlsafe_b64decode(pair["access_token"].split(".")[1] + "==").decode()

    @pytest.mark.parametrize(
        "algorithm",
        ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA", None, 1, []],
    )
    @pytest.mark.parametrize("signature", ["kept", "empty"])
    def test_another_algorithm(self, refused, claims, algorithm, signature):
        token = signed({**HEADER, "alg": algorithm}, claims)
        assert refused(token if signature == "kept" else token.rpartition(".")[0] + ".")

    @pytest.mark.parametrize(
        "extra",
        [
            {"jwk": {"kty": "oct", "k": encoded(b"x" * 32)}},
            {"jku": "https://evil.example/jwks.json"},
            {"x5u": "https://evil.example/cert.pem"},
            {"x5c": ["MIIB"]},
            {"crit": ["exp"]},
            {"crit": ["b64"], "b64": False},
            {"cty": "JWT"},
            {"zip": "DEF"},
        ],
    )
    def test_a_foreign_header(self, refused, claims, extra):
        assert refused(signed({**HEADER, **extra}, claims))

    @pytest.mark.parametrize(
        "kid", ["other", "", None, 1, ["test1"], {"a": 1}, "../../dev/null", "test1' OR 1=1"]
    )
    def test_an_unknown_key_id(self, refused, claims, kid):
        assert refused(signed({**HEADER, "kid": kid}, claims))

    @pytest.mark.parametrize("typ", ["JWT", "rt+jwt", "at+JWT", "", None, "application/at+jwt"])
    def test_another_type(self, refused, claims, typ):
        assert refused(signed({**HEADER, "typ": typ}, claims))

    @pytest.mark.parametrize("missing", ["alg", "typ", "kid"])
    def test_a_header_that_lacks(self, refused, claims, missing):
        assert refused(signed({name: value for name, value in HEADER.items() if name != missing}, claims))

    def test_signed_with_another_key(self, refused, claims):
        for key in (b"", b"x" * 32, settings.SECRET_KEY.encode(), settings.REFRESH_TOKEN_KEYS[0].material):
            assert refused(signed(HEADER, claims, key))

    def test_signed_with_a_public_key_as_the_secret(self, refused, claims):
        """HS/ES confusion: where ES256 verifies with a public key, that key must not count as an HMAC secret."""
        private = ec.generate_private_key(ec.SECP256R1())
        material = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        ring = [KEY, type(KEY)("ec1", "ES256", material)]
        tokens.access_backend.cache_clear()
        try:
            with override_settings(JWT_KEYS=ring):
                for form in (
                    (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
                    (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
                ):
                    secret = private.public_key().public_bytes(*form)
                    assert refused(signed({**HEADER, "kid": "ec1"}, claims, secret))
                    assert refused(signed({**HEADER, "kid": "ec1", "alg": "ES256"}, claims, secret))
                genuine = jwt.encode(claims, private, "ES256", headers={"kid": "ec1", "typ": "at+jwt"})
                assert not refused(genuine)
        finally:
            tokens.access_backend.cache_clear()

    def test_signed_by_an_rsa_key_of_the_attackers(self, refused, claims):
        private = rsa.generate_private_key(65537, 2048)
        assert refused(jwt.encode(claims, private, "RS256", headers={"kid": KEY.kid, "typ": "at+jwt"}))

    def test_every_flipped_character(self, refused, pair):
        token = pair["access_token"]
        for place in range(0, len(token), 7):
            other = "A" if token[place] != "A" else "B"
            assert refused(token[:place] + other + token[place + 1 :])

    @pytest.mark.parametrize(
        "part", ["", ".", "..", "...", "a.b", "a.b.c.d", "a.b.c", "é.é.é", "=.=.=", "\\u0000", "a" * 8000]
    )
    def test_what_is_no_token(self, refused, part):
        assert refused(part)

    def test_another_spelling_of_the_same_bytes(self, refused, pair):
        """The last character of a segment has bits to spare: only one spelling of them is ours."""
        head, body, signature = pair["access_token"].split(".")
        last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(signature[-1])
        other = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last ^ 1]
        for token in (
            f"{head}.{body}.{signature[:-1]}{other}",
            f"{head}.{body}.{signature}=",
            f"{head}=.{body}.{signature}",
            f"{head}.{body}.{signature[:8]} {signature[8:]}",
            f"{head}.{body}.{signature[:8]}\xe9{signature[8:]}",
        ):
            assert refused(token)

    def test_another_library_verifies_ours_and_we_what_it_writes(self, public, pair, claims):
        options: dict[str, Any] = {"audience": settings.TOKEN_AUDIENCE, "issuer": settings.TOKEN_ISSUER}
        assert jwt.decode(pair["access_token"], KEY.material, ["HS256"], **options) == claims
        theirs = jwt.encode(claims, KEY.material, "HS256", headers={"kid": KEY.kid, "typ": "at+jwt"})
        assert public.with_token(theirs).get("/v1/auth/me").status_code == 200

    def test_cut_and_joined(self, refused, pair):
        head, body, signature = pair["access_token"].split(".")
        for token in (
            f"{head}.{body}",
            f"{head}.{body}.",
            f".{body}.{signature}",
            f"{head}..{signature}",
            f"{body}.{head}.{signature}",
        ):
            assert refused(token)

    @pytest.mark.parametrize("name", ["sub", "sid", "tv", "iat", "nbf", "exp", "jti", "iss", "aud"])
    def test_a_missing_or_strange_claim(self, refused, claims, name):
        assert refused(signed(HEADER, {key: value for key, value in claims.items() if key != name}))
        for strange in (None, "", [], {}, True, 1.5, -1e400, "x", [claims[name]], {"a": claims[name]}):
            assert refused(signed(HEADER, {**claims, name: strange}))

    @pytest.mark.parametrize(
        ("name", "value"),
        [("iss", "evil"), ("aud", "other"), ("aud", ["ecosystem"]), ("iss", ["auth-service"])],
    )
    def test_for_somebody_else(self, refused, claims, name, value):
        assert refused(signed(HEADER, {**claims, name: value}))

    @pytest.mark.parametrize(
        "number", ["1e400", "NaN", "Infinity", "-Infinity", "1e18", "99999999999999999999999", "-1", "1.0"]
    )
    @pytest.mark.parametrize("name", ["exp", "iat", "nbf", "tv"])
    def test_strange_numbers(self, public, claims, name, number):
        raw = json.dumps({**claims, name: "HERE"}).replace('"HERE"', number).encode()
        answer = public.get("/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {signed(HEADER, raw)}")
        if (name, number) not in {("exp", "99999999999999999999999"), ("iat", "-1"), ("nbf", "-1")}:
            assert answer.status_code == 401
        assert answer.status_code < 500

    @pytest.mark.parametrize(
        "body",
        [b"[]", b"1", b'"x"', b"null", b"{", b"\xff\xfe", b"[" * 5000, b'{"a":' * 5000, b'{"sub":1,"sub":2}'],
    )
    def test_claims_that_are_no_object(self, refused, body):
        assert refused(signed(HEADER, body))

    def test_expired_and_not_yet_valid(self, refused, claims):
        now = int(time.time())
        assert refused(signed(HEADER, {**claims, "exp": now - 31}), "access_token_expired")
        assert not refused(signed(HEADER, {**claims, "exp": now - 10}), "access_token_expired")  # the leeway
        assert refused(signed(HEADER, {**claims, "nbf": now + 60}))
        assert refused(signed(HEADER, {**claims, "iat": now + 60}))
        for name in ("nbf", "iat"):
            assert not refused(signed(HEADER, {**claims, name: now + 20}))

    def test_introspection_keeps_to_the_same_times(self, internal, service_key, claims):
        shop, now = internal.with_key(service_key("shop", "tokens:introspect")), int(time.time())
        for name, ahead, active in (
            ("nbf", 20, True),
            ("nbf", 60, False),
            ("iat", 20, True),
            ("iat", 60, False),
        ):
            token = signed(HEADER, {**claims, name: now + ahead})
            assert shop.post("/v1/tokens/introspect", {"token": token}).json()["active"] is active, (
                name,
                ahead,
            )

    def test_each_fresh_token_is_valid_by_a_clock_that_is_half_a_minute_behind(self, public, pair):
        """Elsewhere it is read by libraries that allow for nothing (docs/contract.md)."""
        proven = public.with_token(pair["access_token"]).post(
            "/v1/auth/reauthenticate", {"password": PASSWORD}
        )
        renewed = public.post("/v1/auth/refresh", {"refresh_token": pair["refresh_token"]})
        for answer in (pair, proven.json(), renewed.json()):
            claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
            assert abs(claims["iat"] - time.time()) < 10
            assert claims["iat"] - claims["nbf"] == 30

    def test_for_another_user_or_session(self, refused, claims, make_user):
        assert refused(signed(HEADER, {**claims, "sub": str(make_user().pk)}), "session_revoked")
        assert refused(signed(HEADER, {**claims, "sid": str(uuid4())}), "session_revoked")
        assert refused(signed(HEADER, {**claims, "tv": 1}), "session_revoked")

    @pytest.mark.parametrize(
        "header",
        [
            *(
                "Bearer",
                "Bearer ",
                "bearer x",
                "Bearer a b",
                "Basic YTpi",
                "Bearer\tx",
                "Token x",
                "Bearer Bearer x",
                "",
            ),
            *(
                "Bearer \xff\xfe",
                "Bearer " + "x" * 20000,
                "Bearer null",
                "Bearer ,",
                '{"a":1}',
                "Digest a=b",
                "\x7f",
            ),
        ],
    )
    def test_malformed_headers(self, public, pair, header):
        answer = public.get("/v1/auth/me", HTTP_AUTHORIZATION=header)
        assert answer.status_code == 401
        assert answer.json()["code"] in {"not_authenticated", "access_token_invalid"}

    def test_a_token_in_the_query_or_a_cookie_is_not_looked_at(self, public, pair):
        public.cookies["access_token"] = pair["access_token"]
        answer = public.get(f"/v1/auth/me?access_token={pair['access_token']}")
        assert outcome(answer) == (401, "not_authenticated")


@pytest.mark.django_db
class TestIntrospect:
    PATH = "/v1/tokens/introspect"

    def test_anonymous(self, internal, pair):
        assert outcome(internal.post(self.PATH, {"token": pair["access_token"]})) == (401, "api_key_missing")

    def test_wrong_caller(self, internal, service_key, pair):
        key = service_key("shop", "users:read")
        assert outcome(internal.with_key(key).post(self.PATH, {"token": pair["access_token"]})) == (
            403,
            "scope_missing",
        )

    def test_a_live_token(self, internal, service_key, pair, claims):
        client = internal.with_key(service_key())
        client.post(self.PATH, {"token": "x"})  # the keys are read once
        with statements() as run:
            answer = client.post(
                self.PATH, {"token": pair["access_token"], "token_type_hint": "access_token"}
            )
        assert answer.json() == {
            "active": True,
            **{name: claims[name] for name in ("sub", "sid", "iat", "exp", "amr")},
            "email_verified": True,
            "status": "active",
        }
        assert len([one for one in run if "accounts_session" in one]) == 1

    def test_a_form_as_the_rfc_has_it(self, internal, service_key, pair):
        body = f"token={pair['access_token']}&token_type_hint=access_token"
        answer = internal.with_key(service_key()).post(
            self.PATH, body, content_type="application/x-www-form-urlencoded"
        )
        assert answer.json()["active"] is True

    def test_anything_else_is_inactive(self, internal, service_key, public, pair, ada):
        client = internal.with_key(service_key())
        for text in ("", "x", "é", "a.b.c", pair["refresh_token"], pair["access_token"][:-3]):
            assert client.post(self.PATH, {"token": text}).json() == {"active": False}
        public.with_token(pair["access_token"]).post("/v1/auth/logout")
        assert client.post(self.PATH, {"token": pair["access_token"]}).json() == {"active": False}

    @pytest.mark.parametrize("status", ["suspended", "pending_deletion", "deleted"])
    def test_an_inactive_user_has_no_live_token(self, internal, service_key, make_user, access_token, status):
        client = internal.with_key(service_key())
        assert client.post(self.PATH, {"token": access_token(make_user(status=status))}).json() == {
            "active": False
        }


class TestPublicKeys:
    def test_none_while_hs256_signs(self, public):
        answer = public.get("/.well-known/jwks.json")
        assert (answer.json(), answer["Cache-Control"]) == ({"keys": []}, "public, max-age=300")

    def test_services_find_them_on_their_own_listener(self, public, internal):
        for path in ("/.well-known/jwks.json", "/.well-known/oauth-authorization-server"):
            assert internal.get(path).json() == public.get(path).json()

    def test_the_metadata_names_the_issuer_of_the_tokens_and_the_keys(self, public, pair):
        found = public.get("/.well-known/oauth-authorization-server").json()
        assert found["issuer"] == unverified(pair["access_token"])["iss"]
        assert found["jwks_uri"] == "https://auth.test/.well-known/jwks.json"

    def test_public_halves_only(self, public):
        private = ec.generate_private_key(ec.SECP256R1())
        material = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        tokens.access_backend.cache_clear()
        try:
            with override_settings(JWT_KEYS=[type(KEY)("ec1", "ES256", material), KEY]):
                (key,) = public.get("/.well-known/jwks.json").json()["keys"]
        finally:
            tokens.access_backend.cache_clear()
        assert (key["kid"], key["alg"], key["kty"], "d" in key) == ("ec1", "ES256", "EC", False)


class TestVerifiedAddress:
    """The claim is for services that verify by public keys; our own tiers ask the database."""

    def test_a_refresh_tells_what_is_so_by_then(self, public, make_user, sign_in):
        user = make_user("eve@example.com", password=PASSWORD, verified=False)
        pair = sign_in("eve@example.com")
        assert unverified(pair["access_token"])["email_verified"] is False
        User.objects.filter(pk=user.pk).update(email_verified_at=timezone.now())
        answer = public.post("/v1/auth/refresh", {"refresh_token": pair["refresh_token"]})
        assert unverified(answer.json()["access_token"])["email_verified"] is True

    def test_the_claim_opens_no_tier(self, public, make_user):
        user = make_user(verified=True)
        token = issue_access_token(user)
        User.objects.filter(pk=user.pk).update(email_verified_at=None)
        assert unverified(token)["email_verified"] is True
        answer = public.with_token(token).get("/v1/auth/me")
        assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")


def unverified(token: str) -> dict[str, Any]:
    """Return the claims of a token without checking its signature."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims
