"""Suspending and reactivating: by whom, with what reason, and what it does at the next request."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from django.db.models.functions import Now

from accounts.identity import deletion, erasure, status
from accounts.kit import throttles
from accounts.kit.client import Client
from accounts.models import AuditEvent, ServiceEvent, User
from accounts.tests.conftest import PASSWORD, outcome, post
from accounts.tests.test_admin import post as post_form
from accounts.tests.test_admin import sign_in
from tests.fixtures import issue_access_token

pytestmark = pytest.mark.django_db
EMAIL = "ada@example.com"


@pytest.fixture
def ada(make_user: Callable[..., User]) -> User:
    return make_user(EMAIL, password=PASSWORD)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("user_status", *arguments, stdout=out)
    return out.getvalue()


class TestCommand:
    def test_knows_only_users(self):
        with pytest.raises(CommandError, match="not found"):
            run("suspend", "nobody@example.com", "--reason", "x")

    def test_needs_a_reason(self, ada):
        with pytest.raises(CommandError, match="Give a reason of"):
            run("suspend", EMAIL, "--reason", " ")
        ada.refresh_from_db()
        assert ada.status == "active"

    @pytest.mark.parametrize(
        ("now", "change"),
        [
            ("suspended", "suspend"),
            ("active", "reactivate"),
            ("pending_deletion", "reactivate"),
            ("deleted", "suspend"),
            ("deleted", "reactivate"),
        ],
    )
    def test_refuses_what_is_not_possible(self, make_user, now, change):
        user = make_user(status=now)
        with pytest.raises(CommandError, match="The user must be"):
            run(change, str(user.pk), "--reason", "x")
        user.refresh_from_db()
        assert user.status == now
        assert not AuditEvent.objects.exists()

    def test_suspends_at_the_next_request_and_reactivates(self, public, ada):
        client = public.with_token(issue_access_token(ada))
        assert client.get("/v1/auth/me").status_code == 200
        assert "is now suspended" in run("suspend", "ADA@example.com", "--reason", "spam")
        assert outcome(client.get("/v1/auth/me")) == (401, "session_revoked")
        assert outcome(post(public, "login", email=EMAIL, password=PASSWORD)) == (403, "account_suspended")
        assert "is now active" in run("reactivate", EMAIL, "--reason", "a mistake")
        assert outcome(client.get("/v1/auth/me")) == (401, "session_revoked")
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200
        events = AuditEvent.objects.filter(type__in=["suspended", "reactivated"]).order_by("pk")
        assert [event.detail["reason"] for event in events] == ["spam", "a mistake"]
        assert all(event.actor.startswith("manage.py ") for event in events)
        feed = ServiceEvent.objects.order_by("pk").values_list("type", flat=True)
        assert list(feed) == ["user.suspended", "user.reactivated"]


class TestAdmin:
    @pytest.fixture(autouse=True)
    def _no_limit_is_used_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(throttles.rest, "is_over", lambda: False)

    @pytest.fixture
    def boss(self, admin_site: Any, make_user: Callable[..., User]) -> Any:
        make_user("boss@example.com", is_staff=True, is_superuser=True)
        assert sign_in(admin_site, "boss@example.com").status_code == 302
        return admin_site

    @pytest.fixture
    def clerk(self, admin_site: Any, make_user: Callable[..., User]) -> Any:
        clerk = make_user("clerk@example.com", is_staff=True)
        clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_status"]))
        assert sign_in(admin_site, "clerk@example.com").status_code == 302
        return admin_site

    def path(self, user: User, change: str) -> str:
        return f"/admin/accounts/user/{user.pk}/{change}"

    def test_is_for_those_with_the_permission(self, admin_site, make_user, ada):
        reader = make_user("reader@example.com", is_staff=True)
        reader.user_permissions.set(Permission.objects.filter(codename="view_user"))
        sign_in(admin_site, "reader@example.com")
        assert admin_site.get(self.path(ada, "suspend")).status_code == 403
        token = admin_site.cookies["csrftoken"].value
        fields = {"reason": "x", "csrfmiddlewaretoken": token}
        assert admin_site.post(self.path(ada, "suspend"), fields, format="multipart").status_code == 403
        ada.refresh_from_db()
        assert ada.status == "active"

    def test_staff_are_the_superusers(self, clerk):
        colleague = User.objects.create_user("colleague@example.com", PASSWORD, is_staff=True)
        assert clerk.get(self.path(colleague, "suspend")).status_code == 403
        colleague.refresh_from_db()
        assert colleague.status == "active"

    def test_nobody_suspends_themselves(self, boss):
        me = User.objects.get(email="boss@example.com")
        assert boss.get(self.path(me, "suspend")).status_code == 403

    def test_asks_first_and_needs_a_reason(self, boss, ada):
        shown = boss.get(self.path(ada, "suspend")).content.decode()
        assert EMAIL in shown
        assert 'name="reason"' in shown
        ada.refresh_from_db()
        assert ada.status == "active"
        answer = post_form(boss, self.path(ada, "suspend"), {"reason": "  "})
        assert answer.status_code == 200
        ada.refresh_from_db()
        assert ada.status == "active"

    def test_suspends_and_reactivates(self, clerk, public, ada):
        client = public.with_token(issue_access_token(ada))
        assert post_form(clerk, self.path(ada, "suspend"), {"reason": "spam"}).status_code == 302
        assert outcome(client.get("/v1/auth/me")) == (401, "session_revoked")
        event = AuditEvent.objects.get(type="suspended")
        staff = User.objects.get(email="clerk@example.com")
        assert (event.actor, event.detail) == (f"staff {staff.pk}", {"reason": "spam"})
        page = clerk.get(f"/admin/accounts/user/{ada.pk}/change/").content.decode()
        assert "Reactivate" in page
        assert post_form(clerk, self.path(ada, "reactivate"), {"reason": "sorry"}).status_code == 302
        ada.refresh_from_db()
        assert ada.status == "active"

    def test_says_why_not(self, boss, make_user):
        gone = make_user(status="pending_deletion")
        answer = post_form(boss, self.path(gone, "reactivate"), {"reason": "spam"})
        assert 'role="alert"' in answer.content.decode()
        gone.refresh_from_db()
        assert gone.status == "pending_deletion"


class TestWhileADeletionIsPending:
    """Closing the account does not avoid a suspension, and a suspension does not keep what its user wants erased."""

    @pytest.fixture
    def closed(self, public: Any, ada: User) -> User:
        assert public.with_token(issue_access_token(ada)).delete("/v1/auth/me").status_code == 202
        run("suspend", EMAIL, "--reason", "spam")
        ada.refresh_from_db()
        assert (ada.status, ada.deletes_at is not None) == ("suspended", True)
        return ada

    def sign_in(self, public: Any) -> tuple[int, str]:
        return outcome(post(public, "login", email=EMAIL, password=PASSWORD, cancel_deletion=True))

    def test_its_user_cannot_come_back(self, public, closed):
        assert self.sign_in(public) == (403, "account_suspended")
        closed.refresh_from_db()
        assert (closed.status, closed.deletes_at is not None) == ("suspended", True)

    def test_it_is_erased_all_the_same(self, closed):
        User.objects.update(deletes_at=Now())
        assert erasure.erase_due() == 1
        closed.refresh_from_db()
        assert (closed.status, closed.email) == ("deleted", None)

    def test_reactivated_it_is_pending_as_before(self, public, closed):
        assert "is now pending deletion" in run("reactivate", EMAIL, "--reason", "a mistake")
        assert outcome(post(public, "login", email=EMAIL, password=PASSWORD)) == (403, "deletion_pending")
        assert self.sign_in(public)[0] == 200
        closed.refresh_from_db()
        assert (closed.status, closed.deletes_at) == ("active", None)

    def test_its_page_offers_it(self, admin_site, make_user, public, ada):
        public.with_token(issue_access_token(ada)).delete("/v1/auth/me")
        make_user("boss@example.com", is_staff=True, is_superuser=True)
        sign_in(admin_site, "boss@example.com")
        page = admin_site.get(f"/admin/accounts/user/{ada.pk}/change/").content.decode()
        assert f"/admin/accounts/user/{ada.pk}/suspend" in page

    def test_cancelled_by_an_undone_change_of_address_it_stays_suspended(self, closed):
        with transaction.atomic():
            assert deletion.cancel(User.objects.get(), client=Client(None, ""))
        closed.refresh_from_db()
        assert (closed.status, closed.deletes_at) == ("suspended", None)


def test_the_reason_is_bounded(ada: User) -> None:
    with pytest.raises(status.StatusRefused):
        status.suspend(user_id=ada.pk, reason="x" * 501, actor="test")
