"""Every bad state, code and ID token: refused with the code that the contract names, and no row has changed."""

import base64
import json
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db.models.functions import Now

from accounts import google_state
from accounts.models import SpentProof
from accounts.tests.conftest import outcome, post
from accounts.tests.google_steps import begin, nonce, parameters, rows, sign_in, spent
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
INVALID = (401, "id_token_invalid")
UNVERIFIED = (403, "google_email_not_verified")
FOREIGN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(autouse=True)
def _no_limits(settings):
    settings.RATE_LIMITS_FACTOR = 1000


class Later:
    """Seconds from now, worked out when the token is made."""

    def __init__(self, seconds):
        self.seconds = seconds


BAD_CLAIMS = {
    "issuer of somebody else": ({"iss": "https://evil.test"}, INVALID),
    "issuer missing": ({"iss": None}, INVALID),
    "issuer a list": ({"iss": ["https://evil.test"]}, INVALID),
    "issuer with a slash more": ({"iss": "{url}/"}, INVALID),
    "audience of somebody else": ({"aud": "evil.apps.test"}, INVALID),
    "audience missing": ({"aud": None}, INVALID),
    "audience empty": ({"aud": []}, INVALID),
    "audience also somebody else": ({"aud": ["web.apps.test", "evil.apps.test"]}, INVALID),
    "audience a number": ({"aud": 5}, INVALID),
    "asked for by somebody else": ({"azp": "evil.apps.test"}, INVALID),
    "asked for by a list": ({"azp": ["web.apps.test"]}, INVALID),
    "several audiences, asked for by nobody": (
        {"aud": ["web.apps.test", "native.apps.test"], "azp": None},
        INVALID,
    ),
    "expired": ({"exp": Later(-40), "iat": Later(-3600)}, INVALID),
    "expiry missing": ({"exp": None}, INVALID),
    "expiry a text": ({"exp": "9999999999"}, INVALID),
    "expiry true": ({"exp": True}, INVALID),
    "expiry without end": ({"exp": 1e400}, INVALID),
    "expiry beyond all calendars": ({"exp": 10**18}, INVALID),
    "expiry in two days": ({"exp": Later(2 * 86_400)}, INVALID),
    "issued in the future": ({"iat": Later(120)}, INVALID),
    "issue time missing": ({"iat": None}, INVALID),
    "not yet": ({"nbf": Later(120)}, INVALID),
    "subject missing": ({"sub": None}, INVALID),
    "subject empty": ({"sub": ""}, INVALID),
    "subject a number": ({"sub": 108}, INVALID),
    "subject endless": ({"sub": "1" * 192}, INVALID),
    "subject with a NUL": ({"sub": "1\0"}, INVALID),
    "nonce missing": ({"nonce": None}, INVALID),
    "nonce altered": ({"nonce": "altered"}, INVALID),
    "nonce a list": ({"nonce": ["a"]}, INVALID),
    "nonce another's signature": ({"nonce": "AAAA.1.BBBB"}, INVALID),
    "address not verified": ({"email_verified": False}, UNVERIFIED),
    "address verified by a text": ({"email_verified": "true"}, UNVERIFIED),
    "address not verified by a text": ({"email_verified": "false"}, UNVERIFIED),
    "address verified by a number": ({"email_verified": 1}, UNVERIFIED),
    "verification missing": ({"email_verified": None}, UNVERIFIED),
    "address missing": ({"email": None}, UNVERIFIED),
    "address empty": ({"email": ""}, UNVERIFIED),
    "address no address": ({"email": "a\r\nBcc: b@evil.test"}, UNVERIFIED),
    "address a list": ({"email": ["a@gmail.test"]}, UNVERIFIED),
}


def made(google, claims, good_nonce):
    changes = {
        name: value.seconds + int(google_state.now()) if isinstance(value, Later)
        else value.replace("{url}", google.url) if isinstance(value, str) else value
        for name, value in claims.items()
    }  # fmt: skip
    return google.claims("600", **{"nonce": good_nonce, **changes})


def encoded(part):
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forgeries(google, claims):
    """Everything that can be wrong with header, key and signature of good claims."""
    genuine = google.forge(claims)
    header, payload, signature = genuine.split(".")
    public = jwt.PyJWK({name: google.key[name] for name in ("kty", "n", "e")}, "RS256").key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    kid = google.key["kid"]
    curve = ec.generate_private_key(ec.SECP256R1())
    signing = jwt.PyJWK(google.key, "RS256").key
    yield "another key", google.forge(claims, key=FOREIGN_KEY)
    yield "unknown key id", google.forge(claims, header={"kid": "unknown"})
    yield "no key id", jwt.encode(claims, signing, "RS256")
    for spelling in ("none", "None", "NONE", "nOnE"):
        yield f"alg {spelling}", f"{encoded({'alg': spelling, 'kid': kid})}.{payload}."
    secret = jwt.get_algorithm_by_name("HS256")
    start = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{payload}"
    yield "HS256 with the public key", f"{start}.{encoded(secret.sign(start.encode(), pem))}"
    yield "ES256", jwt.encode(claims, curve, "ES256", headers={"kid": kid})
    yield "RS512", jwt.encode(claims, signing, "RS512", headers={"kid": kid})
    yield "PS256", jwt.encode(claims, signing, "PS256", headers={"kid": kid})
    yield (
        "its own key along",
        google.forge(
            claims,
            key=FOREIGN_KEY,
            header={"jwk": {"kty": "RSA"}, "jku": "https://evil.test", "x5u": "https://evil.test"},
        ),
    )
    yield "an unknown crit", google.forge(claims, header={"crit": ["x"], "x": 1})
    yield "no signature", f"{header}.{payload}."
    yield "a flipped bit", f"{header}.{payload}.{'A' if signature[9] != 'A' else 'B'}{signature[1:]}"
    yield "other claims", f"{header}.{encoded({**claims, 'sub': '601'})}.{signature}"
    yield "claims a list", f"{header}.{encoded(['x'])}.{signature}"
    yield "a deep header", f"{encoded(b'[' * 3000)}.{payload}.{signature}"
    yield "a deep payload", f"{header}.{encoded(b'[' * 3000)}.{signature}"
    yield "key id a list", f"{encoded({'alg': 'RS256', 'kid': ['x']})}.{payload}.{signature}"
    yield "endless", genuine + "A" * 9000
    yield from (
        (text[:12], text) for text in ("", "x", "a.b", "a.b.c", "....", "\u00e9.\u00e9.\u00e9", "null")
    )


class TestByTheCallback:
    """The token endpoint answers with what the test says, after a real code and a real PKCE check."""

    @pytest.mark.parametrize("name", BAD_CLAIMS)
    def test_bad_claims(self, public, each_google, name):
        claims, refusal = BAD_CLAIMS[name]
        url = begin(public)
        brought = each_google.authorize(url, "600")
        each_google.order(id_token=each_google.forge(made(each_google, claims, parameters(url)["nonce"])))
        before = rows()
        assert outcome(post(public, "google/callback", **brought)) == refusal
        assert rows() == before

    def test_forgeries(self, public, each_google):
        before = rows()
        for name, _ in list(forgeries(each_google, each_google.claims("600", nonce="x"))):
            url = begin(public)
            brought = each_google.authorize(url, "600")
            claims = made(each_google, {}, parameters(url)["nonce"])
            text = next(text for other, text in forgeries(each_google, claims) if other == name)
            each_google.order(id_token=text)
            assert outcome(post(public, "google/callback", **brought)) == INVALID, name
        assert rows() == before

    @pytest.mark.parametrize("answer", [None, 5, {}, [], ""])
    def test_no_id_token(self, public, each_google, answer):
        brought = each_google.authorize(begin(public), "600")
        each_google.order(id_token=answer)
        before = rows()
        assert outcome(post(public, "google/callback", **brought)) == INVALID
        assert rows() == before

    def test_a_token_for_the_native_app_is_not_for_the_browser(self, public, google):
        url = begin(public)
        brought = google.authorize(url, "600")
        claims = google.claims("600", aud="native.apps.test", nonce=parameters(url)["nonce"])
        google.order(id_token=google.forge(claims))
        assert outcome(post(public, "google/callback", **brought)) == INVALID

    def test_an_id_token_that_was_used_elsewhere(self, public, google):
        url = begin(public)
        brought = google.authorize(url, "600")
        text = google.forge(google.claims("600", nonce=parameters(url)["nonce"]))
        google.order(id_token=text)
        assert post(public, "google/callback", **brought).status_code == 200
        before = rows()
        assert outcome(post(public, "google/token", id_token=text)) == INVALID
        assert rows() == before


class TestByIdToken:
    @pytest.mark.parametrize("name", BAD_CLAIMS)
    def test_bad_claims(self, public, each_google, name):
        claims, refusal = BAD_CLAIMS[name]
        text = each_google.forge(made(each_google, claims, nonce(public)))
        before = rows()
        assert outcome(post(public, "google/token", id_token=text)) == refusal
        assert (rows(), spent()) == (before, 0)

    def test_forgeries(self, public, each_google):
        before = rows()
        claims = made(each_google, {}, nonce(public))
        for name, text in forgeries(each_google, claims):
            assert outcome(post(public, "google/token", id_token=text)) == INVALID, name
        assert (rows(), spent()) == (before, 0)
        assert post(public, "google/token", id_token=each_google.forge(claims)).status_code == 200

    def test_a_nonce_is_used_once(self, public, google):
        word = nonce(public)
        first, second = (google.forge(google.claims(sub, nonce=word)) for sub in ("600", "601"))
        assert post(public, "google/token", id_token=first).status_code == 200
        before = rows()
        for text in (first, second):
            assert outcome(post(public, "google/token", id_token=text)) == INVALID
        assert rows() == before

    def test_within_ten_minutes(self, public, google, monkeypatch):
        word = nonce(public)
        text = google.forge(google.claims("600", nonce=word))
        started = google_state.now()
        monkeypatch.setattr(google_state, "now", lambda: started + 601)
        assert outcome(post(public, "google/token", id_token=text)) == INVALID

    @pytest.mark.parametrize(
        "change", [lambda text: text[:-1], lambda text: text + "A", lambda text: "0" + text]
    )
    def test_a_nonce_of_ours_that_was_altered(self, public, google, change):
        text = google.forge(google.claims("600", nonce=change(nonce(public))))
        assert outcome(post(public, "google/token", id_token=text)) == INVALID

    def test_the_state_of_a_browser_is_no_nonce(self, public, google):
        sent = parameters(begin(public))
        for word in (sent["nonce"], sent["state"]):
            text = google.forge(google.claims("600", nonce=word))
            assert outcome(post(public, "google/token", id_token=text)) == INVALID


class TestStates:
    INVALID = (400, "state_invalid")

    def refused(self, client, each_google, **brought):
        before, count = rows(), each_google.order()["tokens"]
        answer = outcome(post(client, "google/callback", **brought))
        assert (rows(), each_google.order()["tokens"]) == (before, count)
        return answer

    def test_of_another_browser(self, public, each_google):
        brought = each_google.authorize(begin(public), "600")
        stranger = ListenerClient("public")
        assert self.refused(stranger, each_google, **brought) == self.INVALID
        begin(stranger)
        assert self.refused(stranger, each_google, **brought) == self.INVALID
        assert post(public, "google/callback", **brought).status_code == 200  # and it was not used up

    def test_used(self, public, each_google):
        brought = each_google.authorize(begin(public), "600")
        assert post(public, "google/callback", **brought).status_code == 200
        assert self.refused(public, each_google, **brought) == self.INVALID

    def test_used_though_limits_and_caches_forgot(self, public, each_google):
        brought = each_google.authorize(begin(public), "600")
        post(public, "google/callback", **brought)
        SpentProof.objects.update(expires_at=Now() - timedelta(days=1))  # not yet purged
        assert self.refused(public, each_google, **brought) == self.INVALID

    def test_expired(self, public, each_google, monkeypatch):
        brought = each_google.authorize(begin(public), "600")
        started = google_state.now()
        monkeypatch.setattr(google_state, "now", lambda: started + 601)
        assert self.refused(public, each_google, **brought) == self.INVALID

    @pytest.mark.parametrize("text", ["", "x", ":", "x:y", "\u00e9", "e30:AAAA", "A" * 3000, "\ufdfa" * 100])
    def test_made_up(self, public, each_google, text):
        begin(public)
        assert self.refused(public, each_google, state=text, code="x") == self.INVALID
        answer = public.get("/v1/auth/google/callback", {"state": text, "code": "x"})
        assert outcome(answer) == self.INVALID

    def test_missing(self, public, each_google):
        begin(public)
        assert outcome(public.get("/v1/auth/google/callback?code=x")) == self.INVALID
        assert outcome(post(public, "google/callback", code="x")) == (400, "validation_error")

    def test_altered(self, public, each_google):
        brought = each_google.authorize(begin(public), "600")
        body, _, signature = brought["state"].rpartition(":")
        changed = body.replace(body[40], "A" if body[40] != "A" else "B")
        for text in (f"{changed}:{signature}", body, f"{body}:", f"{body}:{signature[:-2]}", nonce(public)):
            assert self.refused(public, each_google, code=brought["code"], state=text) == self.INVALID


class TestCodes:
    INVALID = (400, "oauth_code_invalid")

    def refused(self, client, **brought):
        before = rows()
        answer = outcome(post(client, "google/callback", **brought))
        assert rows() == before
        return answer

    @pytest.mark.parametrize("code", ["", "x", "\u00e9", "A" * 3000])
    def test_made_up(self, public, each_google, code):
        brought = each_google.authorize(begin(public), "600")
        assert self.refused(public, state=brought["state"], code=code) == self.INVALID

    def test_missing(self, public, each_google):
        brought = each_google.authorize(begin(public), "600")
        assert self.refused(public, state=brought["state"]) == self.INVALID

    def test_of_another_sign_in(self, public, each_google):
        """A stolen code belongs to the challenge that it was asked for with (RFC 7636)."""
        stolen = each_google.authorize(begin(ListenerClient("public")), "600")["code"]
        state = parameters(begin(public))["state"]
        assert self.refused(public, state=state, code=stolen) == self.INVALID

    def test_replayed(self, public, each_google):
        brought = each_google.authorize(begin(public), "600")
        assert post(public, "google/callback", **brought).status_code == 200
        state = parameters(begin(public))["state"]
        assert self.refused(public, state=state, code=brought["code"]) == self.INVALID

    def test_without_a_challenge(self, public, google):
        """PKCE stripped on the way to the provider: it refuses the exchange."""
        url = begin(public)
        challenge = parameters(url)["code_challenge"]
        stripped = url.replace(f"&code_challenge={challenge}", "").replace("&code_challenge_method=S256", "")
        answer = google.http.post(stripped, data={"sub": "600"})
        brought = parameters(answer.headers["location"]) if answer.is_redirect else {}
        code = brought.get("code", "none was given")
        assert self.refused(public, state=parameters(url)["state"], code=code) == self.INVALID

    def test_with_a_challenge_swapped(self, public, each_google):
        url = begin(public)
        swapped = url.replace(parameters(url)["code_challenge"], parameters(begin(public))["code_challenge"])
        brought = each_google.authorize(swapped, "600")
        assert self.refused(public, **brought) == self.INVALID

    @pytest.mark.parametrize("word", ["", "altered"])
    def test_with_a_nonce_swapped_or_dropped(self, public, each_google, word):
        """The provider's own token then carries another nonce, or none."""
        each_google.add("600", email="nonce@gmail.test")
        url = begin(public)
        brought = each_google.authorize(url.replace(parameters(url)["nonce"], word), "600")
        assert self.refused(public, **brought) == INVALID


def test_a_good_one_is_let_in_all_the_same(public, each_google):
    """The refusals above are not refusals of everything."""
    each_google.add("600", email="good@gmail.test")
    assert sign_in(public, each_google, "600").status_code == 200
