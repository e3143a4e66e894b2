"""Signing in with Google: the browser's way with either provider, and the way of clients with an ID token."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.db.models.functions import Now

from accounts.models import AuditEvent, ExchangeCode, ServiceEvent, Session, User
from accounts.tests.conftest import at_once, outcome, post
from accounts.tests.google_steps import begin, id_token, nonce, parameters, rows, sign_in, sign_in_by_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
PATHS = ["login", "callback"]


class TestNotConfigured:
    @pytest.fixture(autouse=True)
    def _nothing_configured(self, settings):
        settings.GOOGLE_CLIENT_IDS = []

    def test_says_so(self, public, make_user, access_token):
        answers = [public.get(f"/v1/auth/google/{path}") for path in PATHS]
        answers += [post(public, "google/callback", state="x", code="x"), post(public, "google/nonce")]
        answers += [post(public, "google/token", id_token="x")]
        answers += [post(public.with_token(access_token(make_user())), "google/link")]
        assert {outcome(answer) for answer in answers} == {(404, "google_not_configured")}


class TestLogin:
    def test_sends_the_browser_to_google(self, public, google):
        sent = parameters(begin(public))
        state, challenge = sent.pop("state"), sent.pop("code_challenge")
        assert len(state) < 600
        assert len(challenge) == 43
        assert len(sent.pop("nonce")) == 43
        assert set(sent.pop("scope").split()) == {"openid", "email", "profile"}
        assert sent == {
            "client_id": "web.apps.test",
            "redirect_uri": "https://auth.test/v1/auth/google/callback",
            "response_type": "code",
            "code_challenge_method": "S256",
            "prompt": "select_account",
        }

    def test_the_redirect_uri_is_fixed(self, public, google, settings):
        settings.GOOGLE_REDIRECT_URI = "https://app.test/signed-in"
        assert parameters(begin(public, redirect_uri="https://evil.test"))["redirect_uri"] == (
            "https://app.test/signed-in"
        )

    def test_binds_the_browser(self, public, google):
        begin(public)
        (cookie,) = public.cookies.values()
        assert cookie.key == "__Host-google"
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (
            True, True, "Lax", "/",
        )  # fmt: skip
        assert (cookie["domain"], cookie["max-age"]) == ("", 660)
        first = cookie.value
        begin(public)
        assert public.cookies["__Host-google"].value == first  # the other tab goes on

    @pytest.mark.parametrize("junk", ['"\\015\\012X: y"', "x" * 44, "x", "å" * 43])
    def test_sends_no_cookie_back_that_it_has_not_made(self, public, google, junk):
        answer = public.get("/v1/auth/google/login", HTTP_COOKIE=f"__Host-google={junk}")
        assert answer.status_code == 200
        assert re.fullmatch(r"[\w-]{43}", answer.cookies["__Host-google"].value, re.ASCII)

    def test_without_https_the_name_and_the_flag_differ(self, public, google, settings):
        settings.PUBLIC_BASE_URL = "http://127.0.0.1:8000"
        begin(public)
        (cookie,) = public.cookies.values()
        assert (cookie.key, bool(cookie["secure"])) == ("google", False)

    @pytest.mark.parametrize("yes", ["1", "true"])
    def test_redirects_where_it_is_asked_to(self, public, google, yes):
        answer = public.get(f"/v1/auth/google/login?redirect={yes}")
        assert answer.status_code == 302
        assert answer["Location"].startswith(f"{google.url}{google.authorize_path}?")

    def test_two_never_share_anything(self, public, google):
        first, second = parameters(begin(public)), parameters(begin(public))
        assert not {first[name] for name in ("state", "nonce", "code_challenge")} & set(second.values())

    def test_changes_nothing(self, public, google):
        before = rows()
        begin(public)
        assert rows() == before


class TestCallback:
    def test_the_first_sign_in_makes_an_account(self, public, each_google):
        each_google.add("501", email="Ada.Lovelace@gmail.test", name="Ada")
        answer = sign_in(public, each_google, "501")
        assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
        user = User.objects.get()
        profile = public.with_token(answer.json()["access_token"]).get("/v1/auth/me").json()
        assert (profile["id"], profile["email"], profile["email_verified"], profile["display_name"]) == (
            str(user.pk), "ada.lovelace@gmail.test", True, "Ada",
        )  # fmt: skip
        assert (profile["google_linked"], profile["has_password"]) == (True, False)
        account = SocialAccount.objects.get()
        assert (account.user_id, account.provider, account.uid) == (user.pk, each_google.url, "501")
        assert Session.objects.get().methods == ["google"]
        assert list(ServiceEvent.objects.order_by("pk").values_list("type", flat=True)) == [
            "user.registered",
            "user.verified",
        ]
        assert set(AuditEvent.objects.values_list("type", flat=True)) == {"registered", "signed_in"}
        assert not EmailAddress.objects.exists()  # a second truth

    def test_the_next_one_opens_it_whatever_the_address_is_now(self, public, each_google):
        each_google.add("502", email="before@gmail.test")
        sign_in(public, each_google, "502")
        each_google.add("502", email="after@gmail.test")
        assert sign_in(ListenerClient("public"), each_google, "502").status_code == 200
        assert User.objects.get().email == "before@gmail.test"
        assert Session.objects.count() == 2

    def test_by_get_the_answer_is_the_same(self, public, google):
        google.add("503", email="get@gmail.test")
        answer = public.get("/v1/auth/google/callback", google.authorize(begin(public), "503"))
        assert set(answer.json()) >= {"access_token", "refresh_token"}

    def test_what_google_adds_is_ignored(self, public, google):
        google.add("504", email="more@gmail.test")
        brought = google.authorize(begin(public), "504")
        answer = public.get(
            "/v1/auth/google/callback", {**brought, "scope": "email", "authuser": "0", "prompt": "none"}
        )
        assert answer.status_code == 200

    def test_denied(self, public, google):
        brought = google.deny(begin(public))
        assert brought["error"] == "access_denied"
        before = rows()
        state = parameters(begin(public))["state"]
        answer = post(public, "google/callback", state=state, error="access_denied")
        assert outcome(answer) == (400, "oauth_denied")
        assert rows() == before
        again = post(public, "google/callback", state=state, code="x")
        assert outcome(again) == (400, "state_invalid")

    @pytest.mark.parametrize(
        ("name", "kept"),
        [("\u202e" + "x" * 500, "x" * 100), ("Ada \U0001fae9", "Ada \U0001fae9"), ("\u3164", "")],
    )
    def test_of_a_name_what_can_be_kept_is_kept(self, public, google, name, kept):
        google.add("505", email="name@gmail.test", name=name)
        assert sign_in(public, google, "505").status_code == 200
        assert User.objects.get().display_name == kept


class TestFrontEnd:
    @pytest.fixture(autouse=True)
    def _front_end(self, settings, google):
        settings.FRONTEND_URL = "https://app.test"
        google.add("510", email="front@gmail.test")

    def come_back(self, public, google, **query):
        return public.get("/v1/auth/google/callback", google.authorize(begin(public, **query), "510"))

    def code(self, public, google, **query):
        return parameters(self.come_back(public, google, **query)["Location"])["code"]

    def test_gets_a_code_and_not_the_tokens(self, public, google):
        answer = self.come_back(public, google)
        there = urlsplit(answer["Location"])
        assert (answer.status_code, there.netloc, there.path) == (303, "app.test", "/google")
        assert set(parameters(answer["Location"])) == {"code"}
        assert not Session.objects.exists()

    @pytest.mark.parametrize("accept", ["", "*/*", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"])
    @pytest.mark.parametrize("state", [None, "", "foreign", "used", "%00", "x" * 3000])
    def test_a_state_that_is_not_good_comes_back_to_it_too(self, public, google, state, accept):
        returned = google.authorize(begin(public), "510")
        if state == "used":
            public.get("/v1/auth/google/callback", returned)
        elif state is None:
            del returned["state"]
        else:
            returned["state"] = "\0" if state == "%00" else state
        answer = public.get("/v1/auth/google/callback", returned, headers={"Accept": accept})
        wanted = "validation_error" if state == "%00" else "state_invalid"
        assert (answer.status_code, answer["Location"]) == (303, f"https://app.test/google?error={wanted}")

    @pytest.mark.parametrize("accept", ["application/json", "application/problem+json, application/json"])
    def test_a_client_that_reads_json_alone_gets_the_document(self, public, accept):
        answer = public.get("/v1/auth/google/callback", {"state": "foreign"}, headers={"Accept": accept})
        assert outcome(answer) == (400, "state_invalid")

    def test_so_does_one_that_posts(self, public):
        assert outcome(post(public, "google/callback", state="foreign")) == (400, "state_invalid")

    def test_exchanges_it_once(self, public, google):
        code = self.code(public, google)
        assert code not in str(list(ExchangeCode.objects.values()))
        assert post(public, "exchange", code=code).status_code == 200
        assert outcome(post(public, "exchange", code=code)) == (400, "token_invalid")
        assert Session.objects.get().methods == ["google"]

    def test_within_a_minute(self, public, google):
        code = self.code(public, google)
        ExchangeCode.objects.update(expires_at=Now() - timedelta(milliseconds=1))
        assert outcome(post(public, "exchange", code=code)) == (400, "token_invalid")

    def test_before_the_password_changes(self, public, google):
        code = self.code(public, google)
        user = User.objects.get()
        user.set_password("another sentence of mine")
        user.save()
        assert outcome(post(public, "exchange", code=code)) == (400, "token_invalid")

    @pytest.mark.parametrize("backwards", [False, True])
    def test_while_the_secret_is_rotated(self, public, google, settings, backwards):
        """Each step of the sign-in is served by another process, which begins with the new secret, or still the old."""
        steps = [["new", "old"], ["old", "new"]] if backwards else [["old", "new"], ["new", "old"]]

        def serve(step):
            settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS = (f"{one}-{'x' * 40}" for one in steps[step])

        serve(0)
        returned = google.authorize(begin(public), "510")
        serve(1)
        code = parameters(public.get("/v1/auth/google/callback", returned)["Location"])["code"]
        serve(0)
        assert post(public, "exchange", code=code).status_code == 200

    def test_before_the_google_account_is_unlinked(self, public, google, access_token):
        self.code(public, google)
        user = User.objects.get()
        user.set_password("another sentence of mine")
        user.save()
        code = self.code(public, google)
        client = ListenerClient("public").with_token(access_token(user))
        assert post(client, "google/unlink").status_code == 204
        assert outcome(post(public, "exchange", code=code)) == (400, "token_invalid")

    @pytest.mark.parametrize("code", ["", "x", "x:y", "\u00e9" * 40, "0" * 32 + ":" + "A" * 43, "y" * 5000])
    def test_other_codes(self, public, code):
        assert outcome(post(public, "exchange", code=code)) == (400, "token_invalid")

    def test_only_in_the_browser_where_the_sign_in_began(self, public, google):
        """A stranger's code, brought to someone's browser, would sign them in to the stranger's account."""
        code = self.code(public, google)
        victim, other = ListenerClient("public"), ListenerClient("public")
        begin(other)
        for client in (victim, other):
            assert outcome(post(client, "exchange", code=code)) == (400, "token_invalid")
        assert outcome(post(victim, "exchange", code=code, code_verifier="v" * 43)) == (400, "token_invalid")
        assert not Session.objects.exists()
        assert post(public, "exchange", code=code).status_code == 200

    def test_with_a_challenge_the_verifier_decides_and_no_cookie(self, public, google):
        """RFC 7636, appendix B."""
        verifier, challenge = (
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        )
        code = self.code(public, google, code_challenge=challenge)
        app = ListenerClient("public")
        wrong = ["w" * 43, "", verifier[:-1], verifier + "=", challenge, "\u00e9" * 43, verifier * 4]
        for body in [{}, *({"code_verifier": text} for text in wrong)]:
            for client in (public, app):
                assert outcome(post(client, "exchange", code=code, **body)) == (400, "token_invalid")
        assert post(app, "exchange", code=code, code_verifier=verifier).status_code == 200

    @pytest.mark.parametrize("text", ["", "x", "x" * 42, "x" * 44, "=" * 43, "\u00e9" * 43])
    def test_other_challenges(self, public, google, text):
        answer = public.get("/v1/auth/google/login", {"code_challenge": text})
        assert outcome(answer) == (400, "validation_error")

    def test_a_code_of_the_version_before_opens_nothing(self, public, google):
        code = self.code(public, google)
        ExchangeCode.objects.update(browser="")
        assert outcome(post(public, "exchange", code=code)) == (400, "token_invalid")

    def test_learns_why_not(self, public, google, make_user):
        make_user("front@gmail.test")
        assert parameters(self.come_back(public, google)["Location"]) == {"error": "account_exists"}


class TestToken:
    @pytest.mark.parametrize("audience", ["web.apps.test", "native.apps.test"])
    def test_signs_in(self, public, each_google, audience):
        answer = sign_in_by_token(public, each_google, "520", aud=audience, azp="native.apps.test")
        assert answer.status_code == 200, answer.content
        assert SocialAccount.objects.get().uid == "520"

    def test_with_either_spelling_of_the_issuer(self, public, google):
        answer = sign_in_by_token(public, google, "521", iss=google.url.removeprefix("http://"))
        assert answer.status_code == 200

    def test_google_asks_for_its_keys_once(self, public, google):
        before = google.order()["keys"]
        for number in range(3):
            assert sign_in_by_token(public, google, f"53{number}").status_code == 200
        assert google.order()["keys"] == before + 1

    def test_unknown_keys_do_not_make_us_ask_each_time(self, public, google):
        before = google.order()["keys"]
        for number in range(5):
            forged = google.forge(google.claims("1", nonce="x"), header={"kid": f"unknown-{number}"})
            assert outcome(post(public, "google/token", id_token=forged)) == (401, "id_token_invalid")
        assert google.order()["keys"] == before + 1


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_six_first_logins_make_one_user(self, google):
        texts = [id_token(ListenerClient("public"), google, "540") for _ in range(6)]
        answers = at_once(
            6, lambda number: post(ListenerClient("public"), "google/token", id_token=texts[number])
        )
        assert [answer.status_code for answer in answers] == [200] * 6
        assert (User.objects.count(), SocialAccount.objects.count()) == (1, 1)
        assert ServiceEvent.objects.filter(type="user.registered").count() == 1

    def test_six_callbacks_exchange_one_code(self, public, google):
        google.add("541", email="six@gmail.test")
        brought = google.authorize(begin(public), "541")
        binding = public.cookies["__Host-google"].value
        before = google.order()["tokens"]

        def come_back(_):
            client = ListenerClient("public")
            client.cookies["__Host-google"] = binding
            return outcome(post(client, "google/callback", **brought))

        answers = at_once(6, come_back)
        assert sorted(answers) == [(200, "")] + [(400, "state_invalid")] * 5
        assert google.order()["tokens"] == before + 1
        assert (User.objects.count(), Session.objects.count()) == (1, 1)

    def test_one_id_token_signs_in_once(self, google):
        text = id_token(ListenerClient("public"), google, "542")
        answers = at_once(6, lambda _: outcome(post(ListenerClient("public"), "google/token", id_token=text)))
        assert sorted(answers) == [(200, "")] + [(401, "id_token_invalid")] * 5
        assert Session.objects.count() == 1

    def test_one_exchange_code_signs_in_once(self, public, google, settings):
        settings.FRONTEND_URL = "https://app.test"
        google.add("543", email="code@gmail.test")
        there = public.get("/v1/auth/google/callback", google.authorize(begin(public), "543"))["Location"]
        code = parameters(there)["code"]
        binding = public.cookies["__Host-google"].value

        def exchange(_):
            client = ListenerClient("public")
            client.cookies["__Host-google"] = binding
            return outcome(post(client, "exchange", code=code))

        answers = at_once(20, exchange)
        assert sorted(answers) == [(200, "")] + [(400, "token_invalid")] * 19


def test_nonces_differ(public, google):
    assert nonce(public) != nonce(public)
