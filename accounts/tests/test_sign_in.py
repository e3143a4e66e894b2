"""Signing in, staying signed in, signing out."""

import unicodedata
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.test import override_settings

from accounts import sessions
from accounts.kit.client import Client
from accounts.models import AuditEvent, Session, User
from accounts.sessions.tokens import SessionRefreshToken
from accounts.sign_in import by_password
from accounts.tests.conftest import (
    OTHER_PASSWORD,
    PASSWORD,
    at_once,
    hashes,
    outcome,
    post,
    statements,
    steady_headers,
)
from accounts.tests.hashers import CheapArgon2, CheapBCryptSHA256, CheapPBKDF2

EMAIL = "ada@example.com"
CLIENT = Client("192.0.2.1", "test")


@pytest.fixture
def ada(make_user):
    return make_user(EMAIL, password=PASSWORD)


@pytest.mark.django_db
class TestLogin:
    def test_refuses_get(self, public):
        assert public.get("/v1/auth/login").status_code == 405

    ARMS = {
        "unknown": None,
        "wrong": {},
        "unverified": {"verified": False},
        "suspended": {"status": "suspended"},
        "pending_deletion": {"status": "pending_deletion"},
        "deleted": {"status": "deleted"},
        "without_password": {"password": None},
    }

    def test_every_refusal_is_the_same(self, public, make_user):
        seen = {}
        for arm, fields in self.ARMS.items():
            if fields is not None:
                make_user(f"{arm}@example.com", **fields)
            with statements() as run, hashes() as made:
                answer = post(public, "login", email=f"{arm}@example.com", password=OTHER_PASSWORD)
            headers = steady_headers(answer)
            problem = {name: text for name, text in answer.json().items() if name != "request_id"}
            seen[arm] = (answer.status_code, problem, headers, run, made())
        assert all(one == seen["unknown"] for one in seen.values())
        assert (seen["unknown"][0], seen["unknown"][1]["code"], seen["unknown"][4]) == (
            401,
            "invalid_credentials",
            1,
        )
        assert len(seen["unknown"][3]) == 2
        assert not Session.objects.exists()

    @pytest.mark.parametrize(
        ("fields", "refusal"),
        [
            ({"status": "suspended"}, (403, "account_suspended")),
            ({"status": "pending_deletion"}, (403, "deletion_pending")),
            ({"status": "deleted"}, (401, "invalid_credentials")),
        ],
    )
    def test_the_state_is_told_with_the_right_password_only(self, public, make_user, fields, refusal):
        make_user(EMAIL, password=PASSWORD, **fields)
        assert outcome(post(public, "login", email=EMAIL, password=PASSWORD)) == refusal
        assert not Session.objects.exists()

    @override_settings(LOGIN_REQUIRES_VERIFIED_EMAIL=True)
    def test_unverified_is_unknown_where_the_setting_says_so(self, public, make_user):
        make_user(EMAIL, password=PASSWORD, verified=False)
        assert outcome(post(public, "login", email=EMAIL, password=PASSWORD)) == (401, "invalid_credentials")

    @pytest.mark.parametrize("password", ["", "x" * 300, PASSWORD + " ", " " + PASSWORD, PASSWORD.upper()])
    def test_a_nearly_right_password_is_wrong(self, public, ada, password):
        assert outcome(post(public, "login", email=EMAIL, password=password)) == (401, "invalid_credentials")

    def test_opens_a_session(self, public, ada):
        answer = public.post(
            "/v1/auth/login",
            {"email": " ADA@example.com ", "password": PASSWORD},
            HTTP_USER_AGENT="Browser\t1",
        )
        pair = answer.json()
        assert answer["Cache-Control"] == "no-store"
        assert (pair["token_type"], pair["expires_in"], pair["refresh_expires_in"]) == (
            "Bearer",
            3600,
            14 * 86400,
        )
        session = Session.objects.get(user=ada)
        assert (session.ip, session.user_agent, session.methods) == ("127.0.0.1", "Browser1", ["pwd"])
        assert session.expires_at - session.created_at == timedelta(days=90)
        event = AuditEvent.objects.get()
        assert (event.type, event.user, event.session_id) == ("signed_in", ada, session.pk)

    def test_needs_few_statements(self, public, ada):
        with statements() as run:
            post(public, "login", email=EMAIL, password=PASSWORD)
        assert [statement.split()[0] for statement in run] == ["SELECT", "SELECT", "INSERT", "INSERT"]

    def test_forms_of_unicode_are_one_password(self, public, make_user):
        make_user(EMAIL, password=unicodedata.normalize("NFC", "Zoë's Fahrräder über Öl"))
        typed = unicodedata.normalize("NFD", "Zoë's Fahrräder über Öl")
        assert post(public, "login", email=EMAIL, password=typed).status_code == 200

    def test_72_bytes_are_not_the_end(self, public, make_user):
        make_user(EMAIL, password="a" * 72 + "1")
        assert post(public, "login", email=EMAIL, password="a" * 72 + "2").status_code == 401
        assert post(public, "login", email=EMAIL, password="a" * 72 + "1").status_code == 200

    @pytest.mark.parametrize("hasher", [CheapArgon2(), CheapPBKDF2()])
    def test_a_foreign_hash_is_replaced(self, public, ada, hasher):
        User.objects.update(password=hasher.encode(PASSWORD, hasher.salt()))
        with hashes() as made:
            assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 401
        assert made() == 1
        with hashes() as made:
            assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200
        assert made() == 2  # what makes up for the cheap comparison, and the new one
        assert User.objects.get().password.startswith("bcrypt_sha256$")
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200

    @pytest.mark.parametrize("stored", ["", "!", "nonsense", "md5$a$b", "bcrypt_sha256$"])
    def test_a_broken_hash_is_no_password(self, public, ada, stored):
        User.objects.update(password=stored)
        with hashes() as made:
            assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 401
        assert made() == 1

    def test_cancels_a_pending_deletion_when_told(self, public, make_user):
        user = make_user(EMAIL, password=PASSWORD, status="pending_deletion")
        assert (
            post(public, "login", email=EMAIL, password=OTHER_PASSWORD, cancel_deletion=True).status_code
            == 401
        )
        user.refresh_from_db()
        assert user.status == "pending_deletion"
        assert post(public, "login", email=EMAIL, password=PASSWORD, cancel_deletion=True).status_code == 200
        user.refresh_from_db()
        assert user.status == "active"

    def test_a_session_is_not_opened_for_a_password_that_was_changed_meanwhile(self, ada):
        User.objects.update(password="changed while it was hashed")
        assert sessions.open_session(ada, methods=["pwd"], client=CLIENT) is None
        assert not Session.objects.exists()


@pytest.mark.django_db
class TestLoginLimits:
    def test_five_wrong_then_429(self, public, ada):
        for _ in range(5):
            assert outcome(post(public, "login", email=EMAIL, password=OTHER_PASSWORD)) == (
                401,
                "invalid_credentials",
            )
        with hashes() as made:
            answer = post(public, "login", email="ADA@EXAMPLE.COM", password=PASSWORD)
        assert outcome(answer) == (429, "rate_limited")
        assert int(answer["Retry-After"]) in range(290, 301)
        assert made() == 0
        assert not Session.objects.exists()

    def test_unknown_accounts_throttle_alike(self, public):
        codes = [post(public, "login", email=EMAIL, password=PASSWORD).status_code for _ in range(7)]
        assert codes == [401] * 5 + [429] * 2

    def test_another_address_of_the_client_is_not_affected(self, public, ada):
        for _ in range(6):
            post(public, "login", email=EMAIL, password=OTHER_PASSWORD)
        answer = public.post(
            "/v1/auth/login", {"email": EMAIL, "password": PASSWORD}, REMOTE_ADDR="192.0.2.9"
        )
        assert answer.status_code == 200

    def test_a_spoofed_forwarded_for_changes_nothing(self, public, ada):
        codes = [
            public.post(
                "/v1/auth/login",
                {"email": EMAIL, "password": OTHER_PASSWORD},
                HTTP_X_FORWARDED_FOR=f"203.0.113.{number}",
            ).status_code
            for number in range(7)
        ]
        assert codes == [401] * 5 + [429] * 2

    def test_right_passwords_do_not_count_and_clear_nothing(self, public, ada):
        for _ in range(4):
            post(public, "login", email=EMAIL, password=OTHER_PASSWORD)
        for _ in range(10):
            assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 401
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 429

    @pytest.mark.parametrize(
        ("one_more", "judged"),
        [
            ("2001:db8:1:{n:x}00::1", 50),  # sixty of one /48, each from a /64 of its own
            ("2001:db8:1:2{n:02x}::1", 40),  # of one /56
            ("2001:db8:1:2::{n:x}", 30),  # of one /64
            ("2001:db8:{n:x}::1", 60),  # of sixty customers
            ("203.0.113.{n}", 60),
        ],
    )
    def test_networks_around_the_address_are_counted_too(self, public, one_more, judged):
        """Count the holder of a whole network as one."""
        codes = [
            public.post(
                "/v1/auth/login",
                {"email": f"{n}@example.com", "password": PASSWORD},
                REMOTE_ADDR=one_more.format(n=n),
            ).status_code
            for n in range(60)
        ]
        assert codes == [401] * judged + [429] * (60 - judged)

    def test_30_a_minute_per_address_of_the_client(self, public):
        codes = [
            post(public, "login", email=f"{n}@example.com", password=PASSWORD).status_code for n in range(32)
        ]
        assert codes == [401] * 30 + [429] * 2


@pytest.mark.django_db(transaction=True)
class TestLoginAtOnce:
    @override_settings(
        RATE_LIMITS={
            **dict.fromkeys(("login", "proofs", "proofs_named"), (1000, 60)),
            "login_failures": (5, 300),
            "login_account": (100, 3600, 10, 30),
        }
    )
    def test_of_200_wrong_tries_at_most_five_are_evaluated(self, ada):
        def guess(number):
            return by_password.sign_in(
                email=EMAIL, password=f"guess number {number}", cancel_deletion=False, client=CLIENT
            )

        with hashes() as made:
            results = at_once(200, guess, threads=50)
        assert set(results) <= {"invalid_credentials", "rate_limited", "service_unavailable"}
        assert results.count("invalid_credentials") == made() <= 5

    def test_parallel_sign_ins_that_upgrade_a_hash_all_succeed(self, ada):
        hasher = CheapPBKDF2()
        User.objects.update(password=hasher.encode(PASSWORD, hasher.salt()))

        def enter(number):
            return by_password.sign_in(email=EMAIL, password=PASSWORD, cancel_deletion=False, client=CLIENT)

        results = at_once(2, enter)
        assert Session.objects.count() == 2
        assert len({pair.refresh_token for pair in results}) == 2


@pytest.mark.django_db
class TestRefresh:
    @pytest.fixture
    def pair(self, ada, sign_in):
        return sign_in(EMAIL)

    def refresh(self, public, token):
        return post(public, "refresh", refresh_token=token)

    def test_refuses_garbage(self, public, pair):
        for text in (
            "",
            "x",
            "a.b.c",
            "é",
            pair["access_token"],
            pair["refresh_token"] + "x",
            pair["refresh_token"][:-2],
        ):
            assert outcome(self.refresh(public, text)) == (401, "refresh_token_invalid")
        assert Session.objects.get().previous_jti is None

    def test_an_expired_one_is_refused(self, public, pair):
        Session.objects.update(current_expires_at=Now())
        session = Session.objects.get()
        token = str(SessionRefreshToken.for_session(session, 0))
        assert outcome(self.refresh(public, token)) == (401, "refresh_token_expired")
        assert Session.objects.get().ended_at is None

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "suspended"},
            {"status": "pending_deletion"},
            {"status": "deleted"},
            {"token_version": F("token_version") + 1},
        ],
    )
    def test_of_a_user_who_may_not(self, public, pair, change):
        User.objects.update(**change)
        assert outcome(self.refresh(public, pair["refresh_token"])) == (401, "session_revoked")
        assert Session.objects.get().previous_jti is None

    def test_of_a_session_that_is_over(self, public, pair):
        Session.objects.update(expires_at=Now())
        assert outcome(self.refresh(public, pair["refresh_token"])) == (401, "session_revoked")

    def test_of_a_session_that_is_gone(self, public, pair):
        Session.objects.all().delete()
        assert outcome(self.refresh(public, pair["refresh_token"])) == (401, "session_revoked")

    def test_gives_a_successor_in_one_statement(self, public, pair):
        with statements() as run:
            answer = self.refresh(public, pair["refresh_token"])
        assert answer.status_code == 200
        assert len(run) == 1
        assert answer.json()["refresh_token"] != pair["refresh_token"]
        assert public.with_token(answer.json()["access_token"]).get("/v1/auth/me").status_code == 200

    def test_a_repeat_gets_the_same_successor(self, public, pair):
        first, second = (self.refresh(public, pair["refresh_token"]).json() for _ in range(2))
        assert first["refresh_token"] == second["refresh_token"]

    def test_reuse_ends_the_session_at_the_next_request(self, public, pair):
        old = pair["refresh_token"]
        newer = self.refresh(public, old).json()
        newest = self.refresh(public, newer["refresh_token"]).json()

        assert outcome(self.refresh(public, old)) == (401, "refresh_token_reused")

        assert outcome(public.with_token(newest["access_token"]).get("/v1/auth/me")) == (
            401,
            "session_revoked",
        )
        for token in (newest["refresh_token"], newer["refresh_token"], old):
            assert outcome(self.refresh(public, token)) == (401, "session_revoked")
        assert Session.objects.get().end_reason == "refresh_reuse"
        assert AuditEvent.objects.filter(type="refresh_token_reused").count() == 1

    def test_a_late_repeat_is_reuse(self, public, pair):
        newer = self.refresh(public, pair["refresh_token"]).json()
        Session.objects.update(rotated_at=Now() - timedelta(seconds=61))
        assert outcome(self.refresh(public, pair["refresh_token"])) == (401, "refresh_token_reused")
        assert outcome(self.refresh(public, newer["refresh_token"])) == (401, "session_revoked")

    def test_never_outlives_the_session(self, public, pair):
        Session.objects.update(expires_at=Now() + timedelta(hours=1))
        assert self.refresh(public, pair["refresh_token"]).json()["refresh_expires_in"] <= 3600

    def test_60_a_minute_per_session(self, public, pair):
        codes = [self.refresh(public, pair["refresh_token"]).status_code for _ in range(61)]
        assert codes == [200] * 60 + [429]


@pytest.mark.django_db(transaction=True)
class TestRefreshAtOnce:
    def test_20_callers_get_one_successor(self, ada, sign_in):
        token = sign_in(EMAIL)["refresh_token"]
        results = at_once(20, lambda _: sessions.rotate(token, client=CLIENT).refresh_token)
        assert len(set(results)) == 1
        assert "." in results[0]
        assert Session.objects.get().ended_at is None

    def test_a_revocation_survives_the_refusal(self, public, ada, sign_in):
        first = sign_in(EMAIL)
        second = sessions.rotate(first["refresh_token"], client=CLIENT)
        third = sessions.rotate(second.refresh_token, client=CLIENT)
        results = at_once(10, lambda _: sessions.rotate(first["refresh_token"], client=CLIENT).refresh_token)
        assert set(results) <= {"refresh_token_reused", "session_revoked"}
        assert "refresh_token_reused" in results
        assert public.with_token(third.access_token).get("/v1/auth/me").status_code == 401

    def test_refresh_against_sign_out_leaves_nothing_alive(self, public, ada, sign_in):
        for _ in range(5):
            pair = sign_in(EMAIL)
            session = Session.objects.get(ended_at=None)

            def job(number, pair=pair, session=session):
                if number == 3:
                    return sessions.sign_out_everywhere(session, client=CLIENT)
                return sessions.rotate(pair["refresh_token"], client=CLIENT)

            issued = [one for one in at_once(6, job) if isinstance(one, sessions.TokenPair)]
            for one in issued:
                assert public.with_token(one.access_token).get("/v1/auth/me").status_code == 401
                assert post(public, "refresh", refresh_token=one.refresh_token).status_code == 401


@pytest.mark.django_db
class TestLogout:
    def test_anonymous(self, public):
        answer = public.post("/v1/auth/logout")
        assert outcome(answer) == (401, "not_authenticated")
        assert answer["WWW-Authenticate"].startswith("Bearer")

    def test_ends_this_session_at_once(self, public, ada, sign_in):
        here, there = sign_in(EMAIL), sign_in(EMAIL)
        assert public.with_token(here["access_token"]).post("/v1/auth/logout").status_code == 204
        assert outcome(public.with_token(here["access_token"]).get("/v1/auth/me")) == (401, "session_revoked")
        assert outcome(post(public, "refresh", refresh_token=here["refresh_token"])) == (
            401,
            "session_revoked",
        )
        assert public.with_token(there["access_token"]).get("/v1/auth/me").status_code == 200
        assert AuditEvent.objects.filter(type="signed_out", user=ada).count() == 1

    def test_an_unverified_user_may(self, public, make_user, sign_in):
        make_user(EMAIL, password=PASSWORD, verified=False)
        assert public.with_token(sign_in(EMAIL)["access_token"]).post("/v1/auth/logout").status_code == 204


@pytest.mark.django_db
class TestLogoutAll:
    def test_anonymous(self, public):
        assert outcome(public.post("/v1/auth/logout-all")) == (401, "not_authenticated")

    def test_ends_every_session_of_this_user_only(self, public, ada, make_user, sign_in):
        make_user("eve@example.com", password=PASSWORD)
        mine, hers = [sign_in(EMAIL) for _ in range(3)], sign_in("eve@example.com")
        assert public.with_token(mine[0]["access_token"]).post("/v1/auth/logout-all").status_code == 204
        for pair in mine:
            assert outcome(public.with_token(pair["access_token"]).get("/v1/auth/me")) == (
                401,
                "session_revoked",
            )
            assert outcome(post(public, "refresh", refresh_token=pair["refresh_token"])) == (
                401,
                "session_revoked",
            )
        assert public.with_token(hers["access_token"]).get("/v1/auth/me").status_code == 200
        assert sign_in(EMAIL)["access_token"]


def test_the_cheap_hasher_is_the_one_in_use(settings):
    assert settings.PASSWORD_HASHERS[0].endswith(CheapBCryptSHA256.__name__)
