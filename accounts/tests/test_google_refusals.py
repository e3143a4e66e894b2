"""Every bad state, code and ID token: refused with the code that the contract names, and no row has changed."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from accounts.google import state as google_state
from accounts.models import SpentProof
from accounts.tests.conftest import outcome, post
from accounts.tests.google_steps import begin, nonce, parameters, rows, sign_in, spent
from tests.fake_google.bad_tokens import BAD_CLAIMS, INVALID, forgeries, made
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_limits(settings):
    settings.RATE_LIMITS_FACTOR = 1000


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

    def test_expired_as_the_settings_say(self, public, each_google, monkeypatch, settings):
        settings.GOOGLE_SIGN_IN_LIFETIME = timedelta(minutes=1)
        brought = each_google.authorize(begin(public), "600")
        started = google_state.now()
        monkeypatch.setattr(google_state, "now", lambda: started + 61)
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
