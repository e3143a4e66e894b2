"""The signed-in user's own account, and the look-ups by others."""

from uuid import uuid4

import pytest

from accounts.models import AuditEvent, User
from accounts.tests.conftest import outcome, statements

EMAIL = "ada@example.com"


@pytest.fixture
def ada(make_user):
    return make_user(EMAIL, display_name="Ada")


@pytest.mark.django_db
class TestMe:
    def test_anonymous(self, public):
        assert outcome(public.get("/v1/auth/me")) == (401, "not_authenticated")
        assert outcome(public.patch("/v1/auth/me", {"display_name": "x"})) == (401, "not_authenticated")

    def test_a_service_key_opens_nothing_here(self, public, service_key):
        assert public.with_key(service_key()).get("/v1/auth/me").status_code == 401

    def test_unverified(self, public, user, access_token):
        client = public.with_token(access_token(user))
        assert outcome(client.get("/v1/auth/me")) == (403, "email_not_verified")
        assert outcome(client.patch("/v1/auth/me", {"display_name": "x"})) == (403, "email_not_verified")
        assert User.objects.get().display_name == ""

    @pytest.mark.parametrize("status", ["suspended", "pending_deletion", "deleted"])
    def test_inactive(self, public, make_user, access_token, status):
        client = public.with_token(access_token(make_user(status=status)))
        assert outcome(client.get("/v1/auth/me")) == (401, "session_revoked")

    def test_answers_in_one_statement(self, public, ada, access_token):
        client = public.with_token(access_token(ada))
        with statements() as run:
            answer = client.get("/v1/auth/me")
        assert len(run) == 1
        profile = answer.json()
        assert profile.pop("created_at").endswith("Z")
        assert profile == {
            "id": str(ada.pk),
            "email": EMAIL,
            "email_verified": True,
            "display_name": "Ada",
            "locale": "en",
            "timezone": "UTC",
            "has_password": True,
            "google_linked": False,
            "mfa_enabled": False,
            "status": "active",
        }
        assert answer["Cache-Control"] == "no-store"

    def test_patch_changes_what_is_sent(self, public, ada, access_token):
        client = public.with_token(access_token(ada))
        answer = client.patch("/v1/auth/me", {"display_name": "  Ada L. 🌒 ", "timezone": "Europe/Rome"})
        assert answer.status_code == 200
        ada.refresh_from_db()
        assert (ada.display_name, ada.timezone, ada.locale) == ("Ada L. 🌒", "Europe/Rome", "en")
        assert AuditEvent.objects.get().detail == {"fields": ["display_name", "timezone"]}

    def test_patch_is_limited(self, ada, public, access_token, settings):
        assert settings.RATE_LIMITS["change_profile"] == (60, 3600)
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "change_profile": (2, 3600)}
        client = public.with_token(access_token(ada))
        answers = [client.patch("/v1/auth/me", {"display_name": f"Ada {n}"}) for n in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        ada.refresh_from_db()
        assert ada.display_name == "Ada 1"

    def test_patch_of_nothing_changes_nothing(self, public, ada, access_token):
        assert public.with_token(access_token(ada)).patch("/v1/auth/me", {}).status_code == 200
        assert not AuditEvent.objects.exists()

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"display_name": "x" * 101}, "too_long"),
            ({"display_name": "a\nb"}, "invalid_text"),
            ({"display_name": "a\u202eb"}, "invalid_text"),
            ({"display_name": None}, "wrong_type"),
            ({"locale": "de;q=1"}, "invalid_locale"),
            ({"locale": ""}, "invalid_locale"),
            ({"timezone": "Moon/Tranquility"}, "invalid_timezone"),
            ({"timezone": "../../etc/passwd"}, "invalid_timezone"),
            ({"timezone": "localtime"}, "invalid_timezone"),
            ({"timezone": "Factory"}, "invalid_timezone"),
            ({"display_name": "Eve", "timezone": ""}, "invalid_timezone"),
        ],
    )
    def test_patch_refuses(self, public, ada, access_token, body, code):
        answer = public.with_token(access_token(ada)).patch("/v1/auth/me", body)
        assert outcome(answer) == (400, "validation_error")
        assert [fault["code"] for fault in answer.json()["errors"]] == [code]
        ada.refresh_from_db()
        assert (ada.display_name, ada.locale, ada.timezone) == ("Ada", "en", "UTC")

    @pytest.mark.parametrize(
        "field",
        ["email", "email_verified", "is_staff", "is_superuser", "status", "id", "balance", "password"],
    )
    def test_patch_knows_no_other_field(self, public, ada, access_token, field):
        answer = public.with_token(access_token(ada)).patch("/v1/auth/me", {field: "x"})
        assert outcome(answer) == (400, "unknown_field")


@pytest.mark.django_db
class TestMyStatus:
    def test_anonymous(self, public):
        assert outcome(public.get("/v1/auth/me/status")) == (401, "not_authenticated")

    def test_an_unverified_user_may_ask(self, public, make_user, access_token):
        user = make_user(EMAIL, verified=False)
        client = public.with_token(access_token(user))
        with statements() as run:
            answer = client.get("/v1/auth/me/status")
        assert answer.json() == {
            "id": str(user.pk),
            "email": EMAIL,
            "email_verified": False,
            "status": "active",
        }
        assert len(run) == 1


@pytest.mark.django_db
class TestPublicUser:
    @pytest.mark.parametrize("user_id", [uuid4(), "1", "me", "..", "ada@example.com"])
    def test_unknown(self, public, user_id):
        assert public.get(f"/v1/auth/users/{user_id}").status_code == 404

    @pytest.mark.parametrize("status", ["suspended", "pending_deletion", "deleted"])
    def test_only_active_users_are_shown(self, public, make_user, status):
        user = make_user(status=status)
        known, unknown = (public.get(f"/v1/auth/users/{user_id}") for user_id in (user.pk, uuid4()))
        assert outcome(known) == outcome(unknown) == (404, "user_not_found")

    def test_shows_a_name_and_never_an_address(self, public, ada):
        answer = public.get(f"/v1/auth/users/{ada.pk}")
        assert answer.json() == {"id": str(ada.pk), "display_name": "Ada", "status": "active"}

    def test_is_limited(self, public, ada, settings):
        settings.RATE_LIMITS = {"user_lookup": (2, 60)}
        codes = [public.get(f"/v1/auth/users/{ada.pk}").status_code for _ in range(3)]
        assert codes == [200, 200, 429]


PATHS = ["/v1/users/7d1f4c62-0a4e-4b53-9a3f-0c5f2d1f6a10", "/v1/users/by-email/ada@example.com"]


@pytest.mark.django_db
class TestLookUpsByServices:
    @pytest.mark.parametrize("path", PATHS)
    def test_anonymous(self, internal, path):
        assert outcome(internal.get(path)) == (401, "api_key_missing")

    @pytest.mark.parametrize("path", PATHS)
    def test_wrong_caller(self, internal, service_key, access_token, ada, path):
        assert outcome(internal.with_key("svc_test_x").get(path)) == (401, "api_key_invalid")
        assert outcome(internal.with_token(access_token(ada)).get(path)) == (401, "api_key_missing")
        assert outcome(internal.with_key(service_key("shop", "credits:use")).get(path)) == (
            403,
            "scope_missing",
        )

    @pytest.mark.parametrize("path", PATHS)
    def test_not_on_the_public_listener(self, public, service_key, path):
        assert outcome(public.with_key(service_key()).get(path)) == (404, "not_found")

    @pytest.mark.parametrize("path", PATHS)
    def test_not_found(self, internal, service_key, path):
        assert outcome(internal.with_key(service_key()).get(path)) == (404, "user_not_found")

    @pytest.mark.parametrize("status", ["pending_deletion", "deleted"])
    def test_who_leaves_is_not_found(self, internal, service_key, make_user, status):
        user = make_user(EMAIL, status=status)
        client = internal.with_key(service_key())
        assert client.get(f"/v1/users/{user.pk}").status_code == 404
        assert client.get(f"/v1/users/by-email/{EMAIL}").status_code == 404
        assert client.post("/v1/users/lookup", {"ids": [str(user.pk)]}).json() == {"results": []}

    def test_found_by_id_and_by_any_spelling_of_the_address(self, internal, service_key, ada):
        client = internal.with_key(service_key("shop", "users:read"))
        by_id, by_email = client.get(f"/v1/users/{ada.pk}"), client.get("/v1/users/by-email/ADA@Example.com")
        assert by_id.json() == by_email.json()
        assert by_id.json()["email"] == EMAIL
        assert set(by_id.json()) == {"id", "email", "email_verified", "display_name", "status", "created_at"}

    def test_lookup_anonymous(self, internal):
        assert outcome(internal.post("/v1/users/lookup", {"emails": [EMAIL]})) == (401, "api_key_missing")

    @pytest.mark.parametrize(
        "body",
        [
            *({}, {"emails": []}, {"ids": []}, {"emails": [EMAIL] * 101}, {"ids": ["x"]}, {"emails": [1]}),
            *({"emails": [EMAIL], "ids": [str(uuid4())]}, {"emails": None}),
        ],
    )
    def test_lookup_refuses(self, internal, service_key, body):
        assert outcome(internal.with_key(service_key()).post("/v1/users/lookup", body)) == (
            400,
            "validation_error",
        )

    def test_lookup_answers_those_found_in_one_statement(self, internal, service_key, make_user, ada):
        bob, client = make_user("bob@example.com"), internal.with_key(service_key())
        client.post("/v1/users/lookup", {"ids": [str(bob.pk)]})  # the keys are read once
        with statements() as run:
            by_id = client.post("/v1/users/lookup", {"ids": [str(bob.pk), str(ada.pk), str(uuid4())]})
        assert len([one for one in run if "accounts_user" in one]) == 1
        by_email = client.post(
            "/v1/users/lookup", {"emails": ["BOB@example.com", EMAIL, "nobody@example.com"]}
        )
        assert by_id.json() == by_email.json()
        assert {one["email"] for one in by_id.json()["results"]} == {EMAIL, "bob@example.com"}
