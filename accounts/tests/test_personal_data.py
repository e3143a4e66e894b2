"""Shows users what is kept of them: the activity, and everything."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.tests.conftest import PASSWORD, outcome, post
from tests.fixtures import issue_access_token

EMAIL = "ada@example.com"


@pytest.fixture
def ada(make_user):
    return make_user(EMAIL, password=PASSWORD, display_name="Ada")


@pytest.mark.django_db
class TestActivity:
    PATH = "/v1/auth/me/activity"

    def test_anonymous(self, public):
        assert outcome(public.get(self.PATH)) == (401, "not_authenticated")

    def test_unverified(self, public, user, access_token):
        assert outcome(public.with_token(access_token(user)).get(self.PATH)) == (403, "email_not_verified")

    def test_another_users_is_not_shown(self, public, ada, make_user, access_token):
        post(public, "login", email=EMAIL, password=PASSWORD)
        client = public.with_token(access_token(make_user()))
        assert client.get(self.PATH).json() == {"results": [], "next": None}

    def test_newest_first_in_pages(self, public, ada, access_token):
        post(public, "login", email=EMAIL, password="not the right password")
        post(public, "login", email=EMAIL, password=PASSWORD)
        client = public.with_token(access_token(ada))
        first = client.get(f"{self.PATH}?limit=1").json()
        assert [item["type"] for item in first["results"]] == ["signed_in"]
        assert set(first["results"][0]) == {"type", "created_at", "ip", "user_agent"}
        second = client.get(f"{self.PATH}?limit=1&cursor={first['next']}").json()
        assert [item["type"] for item in second["results"]] == ["sign_in_failed"]
        assert second["next"] is None

    def test_a_cursor_of_another_user_is_refused(self, public, ada, make_user, access_token):
        for _ in range(2):
            post(public, "login", email=EMAIL, password=PASSWORD)
        cursor = public.with_token(access_token(ada)).get(f"{self.PATH}?limit=1").json()["next"]
        stranger = public.with_token(access_token(make_user()))
        assert outcome(stranger.get(f"{self.PATH}?cursor={cursor}")) == (400, "cursor_invalid")


@pytest.mark.django_db
class TestExport:
    PATH = "/v1/auth/me/export"

    def test_anonymous(self, public):
        assert outcome(public.get(self.PATH)) == (401, "not_authenticated")

    def test_unverified(self, public, user, access_token):
        assert outcome(public.with_token(access_token(user)).get(self.PATH)) == (403, "email_not_verified")

    def test_a_sign_in_of_long_ago(self, public, ada):
        token = issue_access_token(ada, created_at=timezone.now() - timedelta(minutes=6))
        assert outcome(public.with_token(token).get(self.PATH)) == (403, "reauthentication_required")
        assert not AuditEvent.objects.exists()

    def test_holds_the_own_data_and_nobody_elses(self, public, ada, make_user, access_token):
        make_user("eve@example.com", display_name="Eve")
        post(public, "login", email="eve@example.com", password=PASSWORD)
        post(public, "login", email=EMAIL, password=PASSWORD)
        answer = public.with_token(access_token(ada)).get(self.PATH)
        assert answer["Content-Disposition"] == 'attachment; filename="my-data.json"'
        assert answer["Cache-Control"] == "no-store"
        text = answer.getvalue().decode()
        data = json.loads(text)
        assert (data["user"]["id"], data["user"]["email"]) == (str(ada.pk), EMAIL)
        assert data["user"]["created_at"].endswith("Z")
        assert len(data["sessions"]) == 2
        assert {item["type"] for item in data["activity"]} == {"signed_in", "data_exported"}
        assert data["credit_transactions"] == []
        assert data["credit_balance"][0]["balance"] == 0
        for secret in ("Eve", "eve@", "bcrypt", "jti", "token_version"):
            assert secret not in text

    def test_is_limited(self, public, ada, access_token):
        client = public.with_token(access_token(ada))
        codes = [client.get(self.PATH).status_code for _ in range(6)]
        assert codes == [200] * 5 + [429]
