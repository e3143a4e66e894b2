"""X-Client-Assertion: people behind one server have a quota each, and nothing else changes."""

import json
import secrets
import time
from typing import Any

import jwt
import pytest
from django.core.management import call_command
from jwt.algorithms import OKPAlgorithm

from accounts.front_ends import assertions, keys
from accounts.models import AuditEvent, FrontEndKey, Session
from tests.fixtures import PASSWORD
from tests.listeners import ListenerClient

SERVER = "198.51.100.7"  # where the front end's server is
WRONG = "wrong horse battery staple"

pytestmark = pytest.mark.django_db


@pytest.fixture
def jwk():
    return keys.make(name="shop", actor="test").jwk


@pytest.fixture
def behind(public, jwk):
    """`behind(address, path, body)`: a call that the server passes on for someone there."""

    def call(address, path, body, **claims):
        headers = {"X-Client-Assertion": assertion(jwk, ip=address, **claims)}
        return public.post(path, body, headers=headers, REMOTE_ADDR=SERVER)

    return call


def assertion(jwk, *, header=None, **claims):
    now = int(time.time())
    said = {"aud": "https://auth.test", "jti": secrets.token_hex(8), "iat": now, "exp": now + 60, **claims}
    key: Any = OKPAlgorithm.from_jwk(json.dumps(jwk))
    return jwt.encode(
        {name: value for name, value in said.items() if value is not None},
        key,
        algorithm="EdDSA",
        headers={"kid": jwk["kid"], "typ": assertions.TYPE, **(header or {})},
    )


def address_of(number):
    return f"203.0.{number // 250}.{number % 250 + 1}"


def sign_in(behind, address, email, password=PASSWORD, **claims):
    return behind(address, "/v1/auth/login", {"email": email, "password": password}, **claims)


class TestQuota:
    def test_sixty_people_sign_in_through_one_server_and_without_assertions_they_do_not(
        self, behind, public, make_user
    ):
        people = [make_user(f"{number}@x.test") for number in range(60)]
        answers = [sign_in(behind, address_of(place), one.email) for place, one in enumerate(people)]
        assert {answer.status_code for answer in answers} == {200}
        bare = [
            public.post("/v1/auth/login", {"email": one.email, "password": PASSWORD}, REMOTE_ADDR=SERVER)
            for one in people
        ]
        assert {answer.status_code for answer in bare} == {200, 429}

    def test_made_up_addresses_for_one_account_are_limited_by_the_account(self, behind, verified_user):
        statuses = [
            sign_in(behind, address_of(number * 250), verified_user.email, WRONG).status_code
            for number in range(14)
        ]
        assert statuses == [401] * 10 + [429] * 4
        assert sign_in(behind, "192.0.2.99", verified_user.email).status_code == 429

    def test_one_person_behind_it_uses_up_only_what_is_theirs(self, behind, make_user):
        victim, other = make_user("victim@x.test"), make_user("other@x.test")
        tries = [sign_in(behind, "203.0.113.66", victim.email, WRONG).status_code for _ in range(6)]
        assert tries[-1] == 429
        assert sign_in(behind, "203.0.113.9", victim.email).status_code == 200
        assert sign_in(behind, "203.0.113.66", other.email).status_code == 200

    def test_a_server_has_a_ceiling_over_all_its_keys(self, behind, make_user, settings):
        settings.RATE_LIMITS = settings.RATE_LIMITS | {"asserted": (2, 60), "login": (1, 60)}
        people = [make_user(f"{number}@x.test") for number in range(4)]
        statuses = [
            sign_in(behind, address_of(250 * number), one.email).status_code
            for number, one in enumerate(people)
        ]
        assert statuses == [200, 200, 200, 429]  # the third by the server's own address, which has one

    @pytest.mark.parametrize("urlconf", ["config.urls.public", "config.demo.urls"])
    def test_in_development_as_in_production(self, jwk, make_user, settings, urlconf):
        settings.RATE_LIMITS = settings.RATE_LIMITS | {"login": (1, 60)}
        client = ListenerClient("public", urlconf=urlconf)
        people = [make_user(f"{number}@x.test") for number in range(3)]
        answers = [
            client.post(
                "/v1/auth/login",
                {"email": one.email, "password": PASSWORD},
                headers={"X-Client-Assertion": assertion(jwk, ip=address_of(250 * number))},
                REMOTE_ADDR=SERVER,
            )
            for number, one in enumerate(people)
        ]
        assert [answer.status_code for answer in answers] == [200] * 3


class TestNothingElse:
    def test_an_asserted_address_is_not_where_an_account_is_known(self, behind, public, verified_user):
        """In a pause an owner gets in from where they were seen: the server may not say that it is there."""
        home = "203.0.113.5"
        body = {"email": verified_user.email, "password": PASSWORD}
        assert public.post("/v1/auth/login", body, REMOTE_ADDR=home).status_code == 200
        for number in range(10):
            public.post(
                "/v1/auth/login", body | {"password": WRONG}, REMOTE_ADDR=address_of(500 + 250 * number)
            )
        assert sign_in(behind, home, verified_user.email).status_code == 429
        assert public.post("/v1/auth/login", body, REMOTE_ADDR=home).status_code == 200

    def test_nor_is_the_server_that_says_so(self, behind, public, verified_user):
        body = {"email": verified_user.email, "password": PASSWORD}
        assert sign_in(behind, "203.0.113.5", verified_user.email).status_code == 200
        for number in range(10):
            public.post(
                "/v1/auth/login", body | {"password": WRONG}, REMOTE_ADDR=address_of(500 + 250 * number)
            )
        assert sign_in(behind, "203.0.113.5", verified_user.email).status_code == 429

    def test_the_audit_keeps_both_addresses_and_the_session_the_servers(self, behind, verified_user):
        sign_in(behind, "203.0.113.5", verified_user.email)
        event = AuditEvent.objects.get(type="signed_in")
        assert (event.ip, event.asserted_ip) == (SERVER, "203.0.113.5")
        assert Session.objects.get().ip == SERVER

    def test_the_other_listeners_do_not_read_it(self, internal, service_key, jwk, verified_user):
        text = assertion(jwk, ip="203.0.113.5")
        client = internal.with_key(service_key())
        path = f"/v1/users/{verified_user.pk}"
        assert client.get(path, headers={"X-Client-Assertion": text}).status_code == 200
        assert assertions.asserted_address(text) == "203.0.113.5"  # it was not used up


BAD = {
    "expired": {"iat": -120, "exp": -60},
    "from tomorrow": {"iat": 86400, "exp": 86460},
    "too long": {"exp": 3600},
    "for another audience": {"aud": "https://other.test"},
    "for several audiences": {"aud": ["https://auth.test", "https://other.test"]},
    "without an id": {"jti": None},
    "with an empty id": {"jti": ""},
    "without an address": {"ip": None},
    "with a word in the place of an address": {"ip": "everywhere"},
    "without an end": {"exp": None},
    "with an endless end": {"exp": float("inf")},
}


class TestWhatIsNotGood:
    """It counts as none: the call goes on, by the quota of the server's own address."""

    def is_none(self, text):
        return assertions.asserted_address(text) is None

    @pytest.mark.parametrize("claims", BAD.values(), ids=BAD)
    def test_a_claim(self, jwk, claims):
        now = int(time.time())
        moved = {
            name: now + value if name in {"iat", "exp"} and isinstance(value, int) else value
            for name, value in claims.items()
        }
        try:
            text = assertion(jwk, **{"ip": "203.0.113.5", **moved})
        except (ValueError, OverflowError, TypeError):
            pytest.skip("this version of the library does not sign it")
        assert self.is_none(text)
        assert assertions.asserted_address(assertion(jwk, ip="203.0.113.5")) == "203.0.113.5"

    def test_one_that_was_used(self, jwk):
        once = assertion(jwk, ip="203.0.113.5")
        assert assertions.asserted_address(once) == "203.0.113.5"
        assert self.is_none(once)

    def test_the_same_id_of_another_key_is_another_one(self, jwk):
        other = keys.make(name="shop", actor="test").jwk
        for one in (jwk, other):
            assert assertions.asserted_address(assertion(one, ip="203.0.113.5", jti="same")) == "203.0.113.5"

    def test_another_key_under_a_known_id(self, jwk):
        other = keys.make(name="other", actor="test").jwk
        assert self.is_none(assertion(other | {"kid": jwk["kid"]}, ip="203.0.113.5"))

    def test_a_revoked_key(self, jwk):
        keys.revoke(key_id=jwk["kid"], actor="test")
        assert self.is_none(assertion(jwk, ip="203.0.113.5"))

    @pytest.mark.parametrize(
        "header",
        [{"typ": "at+jwt"}, {"kid": "0" * 12}, {"kid": "\0" * 12}, {"jku": "https://evil.test/keys"}],
    )
    def test_a_header(self, jwk, header):
        assert self.is_none(assertion(jwk, ip="203.0.113.5", header=header))

    def test_a_key_that_is_the_public_half_used_as_a_secret(self, jwk):
        now = int(time.time())
        claims = {"ip": "203.0.113.5", "aud": "https://auth.test", "jti": "1", "iat": now, "exp": now + 60}
        headers = {"kid": jwk["kid"], "typ": assertions.TYPE}
        for algorithm in ("HS256", "none"):
            secret: Any = jwk["x"] if algorithm == "HS256" else None
            assert self.is_none(jwt.encode(claims, secret, algorithm=algorithm, headers=headers))

    @pytest.mark.parametrize("text", ["", "a", "a.b.c", "." * 3000, "\x00", "[" * 2000])
    def test_junk(self, text):
        assert self.is_none(text)

    def test_the_call_is_answered_as_without_one(self, behind, verified_user):
        assert sign_in(behind, "nowhere", verified_user.email).status_code == 200
        event = AuditEvent.objects.get(type="signed_in")
        assert (event.ip, event.asserted_ip) == (SERVER, None)


class TestKeys:
    def test_the_command_shows_the_private_half_once_and_keeps_the_public_one(self, capsys):
        call_command("front_end_key", "create", "shop", "--json")
        made = json.loads(capsys.readouterr().out)
        row = FrontEndKey.objects.get(pk=made["id"])
        assert assertions.asserted_address(assertion(made["jwk"], ip="203.0.113.5")) == "203.0.113.5"
        assert made["jwk"]["d"].encode() not in bytes(row.public_key)
        call_command("front_end_key", "list", "--json")
        listed = json.loads(capsys.readouterr().out)["results"]
        assert listed == [{"name": "shop", "id": row.pk, "state": "live"}]
        call_command("front_end_key", "revoke", row.pk)
        assert "is revoked" in capsys.readouterr().out
        assert list(AuditEvent.objects.order_by("pk").values_list("type", flat=True)) == [
            "front_end_key_made",
            "front_end_key_revoked",
        ]

    @pytest.mark.parametrize("name", ["", "Shop", "a" * 41, "shop;"])
    def test_a_name_that_is_not_one_is_refused(self, name):
        with pytest.raises(keys.KeyRefused):
            keys.make(name=name, actor="test")
        assert not FrontEndKey.objects.exists()

    def test_revoking_again_changes_nothing(self, jwk):
        assert keys.revoke(key_id=jwk["kid"], actor="test")
        assert not keys.revoke(key_id=jwk["kid"], actor="test")
        with pytest.raises(keys.KeyRefused):
            keys.revoke(key_id="nobody's", actor="test")
