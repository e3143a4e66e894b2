"""Follows what an account's states do to its credits, and what is left of a person who is erased: nothing but
numbers.
"""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.utils import timezone

from accounts.google import accounts
from accounts.google.id_tokens import Identity
from accounts.identity import erasure, imports, signup, status
from accounts.kit.client import Client
from accounts.management.commands import ensure_admin
from accounts.models import AuditEvent, MailToken, OutboxMessage, Session, User
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, deliver_mails, link_in, outcome, post
from accounts.upkeep import retention
from credits.ledger import states, verify
from credits.models import CreditTransaction, UserCredit
from tests.fixtures import issue_access_token

pytestmark = pytest.mark.django_db
EMAIL = "canary.address@example.com"
CLIENT = Client("198.51.100.7", "a browser")
CANARIES = (
    "canary.address",
    "canary.new",
    "Canary Name",
    "203.0.113.77",
    "Canary Agent",
    "canary description",
    "canary reference",
    "canary metadata",
    "canary reason",
)


@pytest.fixture
def shop(internal, service_key):
    return internal.with_key(service_key("shop"))


@pytest.fixture
def person(make_user, shop):
    user = make_user(EMAIL, password=PASSWORD, display_name="Canary Name")
    spend(shop, user, "add", 100, "add-1")
    return user


def spend(shop: Any, user: User, verb: str, amount: int, key: str) -> Any:
    body = {
        "user_id": str(user.pk),
        "amount": amount,
        "description": "canary description",
        "reference": "canary reference",
        "metadata": {"note": "canary metadata"},
    }
    return shop.post(f"/v1/credits/{verb}", body, HTTP_IDEMPOTENCY_KEY=key)


def by_form() -> None:
    signup.register(email=EMAIL, password=PASSWORD, display_name="", locale="en", client=CLIENT)


def by_google() -> None:
    identity = Identity("1", EMAIL, "", nonce="", digest="", expires_at=0, auth_time=None)
    accounts.user_of(identity, client=CLIENT)


def by_import() -> None:
    list(imports.run([json.dumps({"email": EMAIL}).encode()], dry_run=False))


def as_superuser() -> None:
    ensure_admin.create_first_admin(email=EMAIL, password=PASSWORD)


@pytest.mark.parametrize("come", [by_form, by_google, by_import, as_superuser])
def test_whoever_comes_to_be_has_a_balance(come):
    come()
    row = UserCredit.objects.get(pk=User.objects.get(email=EMAIL).pk)
    assert (row.balance, row.closed_at, bytes(row.hash)) == (0, None, b"")


def test_whoever_is_purged_leaves_no_balance(make_user):
    make_user(verified=False)
    User.objects.update(created_at=timezone.now() - timedelta(days=400))
    assert retention.purge()["unverified_users"] == 1
    assert not UserCredit.objects.exists()


def test_a_threshold_keeps_a_user_who_was_not_verified(make_user):
    states.set_alert(user_id=make_user(verified=False).pk, threshold=5)
    User.objects.update(created_at=timezone.now() - timedelta(days=400))
    assert retention.purge()["unverified_users"] == 0


class TestSpending:
    def test_a_suspended_user_spends_nothing(self, shop, person):
        assert spend(shop, person, "use", 1, "u1").status_code == 201
        status.suspend(user_id=person.pk, reason="x", actor="test")
        assert outcome(spend(shop, person, "use", 1, "u2")) == (403, "account_suspended")
        assert UserCredit.objects.get(pk=person.pk).blocked == ["suspended"]
        status.reactivate(user_id=person.pk, reason="x", actor="test")
        assert spend(shop, person, "use", 1, "u2").status_code == 201

    def test_nor_does_who_has_never_had_any(self, shop, make_user):
        user = make_user()
        status.suspend(user_id=user.pk, reason="x", actor="test")
        assert outcome(spend(shop, user, "use", 1, "u1")) == (403, "account_suspended")

    def test_nor_does_who_leaves_and_who_comes_back_does(self, public, shop, person):
        client = public.with_token(issue_access_token(person))
        assert client.delete("/v1/auth/me").status_code == 202
        assert outcome(spend(shop, person, "use", 1, "u1")) == (403, "account_suspended")
        answer = post(public, "login", email=EMAIL, password=PASSWORD, cancel_deletion=True)
        assert answer.status_code == 200
        assert spend(shop, person, "use", 1, "u1").status_code == 201
        assert UserCredit.objects.get(pk=person.pk).blocked == []

    def test_nor_after_a_thief_closed_the_account_until_its_owner_has_it_back(self, public, shop, person):
        client = public.with_token(issue_access_token(person))
        post(client, "change-email", new_email="canary.new@example.com")
        mails = {mail.to[0]: mail for mail in [*deliver_mails(), *deliver_mails()]}
        client.delete("/v1/auth/me")
        assert UserCredit.objects.get(pk=person.pk).blocked == ["deletion"]
        assert post(public, "undo-email-change", token=link_in(mails[EMAIL])).status_code == 200
        assert UserCredit.objects.get(pk=person.pk).blocked == []

    def test_one_that_fails_changes_nothing(self, person, settings):
        settings.ACCOUNT_HOOKS = {
            **settings.ACCOUNT_HOOKS,
            "block_spending": ["tests.test_account_hooks.fail"],
        }
        with pytest.raises(ZeroDivisionError):
            status.suspend(user_id=person.pk, reason="x", actor="test")
        person.refresh_from_db()
        assert person.status == "active"
        assert not AuditEvent.objects.exists()


def fail(**_: Any) -> None:
    raise ZeroDivisionError


class TestExport:
    def test_has_the_credits(self, public, shop, person):
        spend(shop, person, "use", 30, "u1")
        answer = public.with_token(issue_access_token(person)).get("/v1/auth/me/export")
        data = json.loads(answer.getvalue())
        assert [row["amount"] for row in data["credit_transactions"]] == [-30, 100]
        assert data["credit_transactions"][0]["description"] == "canary description"
        assert data["credit_balance"][0]["available"] == 70


def dump() -> str:
    """Every row of every table, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
        texts = []
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM \"{table}\" AS t")
            texts.append(f"{table}: {cursor.fetchone()[0]}")
    return "\n".join(texts)


class TestErasure:
    def test_leaves_no_trace_of_the_person_and_a_ledger_that_verifies(self, public, shop, person, make_user):
        device = {"HTTP_USER_AGENT": "Canary Agent", "REMOTE_ADDR": "203.0.113.77"}
        for number in range(3):
            spend(shop, person, "use", 5, f"use-{number}")
        public.post("/v1/auth/login", {"email": EMAIL, "password": PASSWORD}, **device)
        public.post("/v1/auth/login", {"email": EMAIL, "password": OTHER_PASSWORD}, **device)
        body = {"email": EMAIL, "password": OTHER_PASSWORD, "display_name": "Canary Name"}
        public.post("/v1/auth/register", body, **device)
        deliver_mails()
        client = public.with_token(issue_access_token(person, ip="203.0.113.77", user_agent="Canary Agent"))
        client.post("/v1/auth/change-email", {"new_email": "canary.new@example.com"}, **device)
        _ = deliver_mails(), deliver_mails()
        stranger = public.with_token(issue_access_token(make_user("stranger@example.org")))
        post(stranger, "change-email", new_email=EMAIL)
        post(public, "resend-verification", email=EMAIL)
        status.suspend(user_id=person.pk, reason="canary reason", actor="test")
        status.reactivate(user_id=person.pk, reason="canary reason", actor="test")
        users = ContentType.objects.get_for_model(User)
        LogEntry.objects.create(
            user=make_user(), content_type=users, object_id=str(person.pk), object_repr=EMAIL,
            action_flag=CHANGE, change_message="Canary Name",
        )  # fmt: skip
        person.refresh_from_db()
        client = public.with_token(issue_access_token(person, ip="203.0.113.77", user_agent="Canary Agent"))
        client.delete("/v1/auth/me", **device)
        assert {canary for canary in CANARIES if canary in dump()} == set(
            CANARIES
        )  # the test looks where they are

        User.objects.filter(pk=person.pk).update(deletes_at=timezone.now())
        assert erasure.erase_due() == 1

        text = dump()
        assert [canary for canary in CANARIES if canary.casefold() in text.casefold()] == []
        assert list(verify.verify_user(person.pk).findings) == []
        types = (
            CreditTransaction.objects.filter(holder_id=person.pk).order_by("at").values_list("type", "amount")
        )
        assert list(types) == [("bonus", 100), *[("use", -5)] * 3, ("forfeit", -85)]
        assert UserCredit.objects.get(pk=person.pk).balance == 0
        assert AuditEvent.objects.filter(user=person.pk).exists()
        assert not OutboxMessage.objects.filter(user=person.pk).exists()
        assert not MailToken.objects.filter(user=person.pk).exists()
        assert not Session.objects.filter(user=person.pk, ended_at=None).exists()

    def test_as_the_role_that_serves(self, public, shop, person):
        """The journal's texts go through one function: the role has no UPDATE on the table."""
        public.with_token(issue_access_token(person)).delete("/v1/auth/me")
        User.objects.filter(pk=person.pk).update(deletes_at=timezone.now())
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE auth_app")
            try:
                assert erasure.erase_due() == 1
            finally:
                cursor.execute("RESET ROLE")
        assert not CreditTransaction.objects.filter(description__isnull=False).exists()

    def test_says_what_is_lost_and_loses_what_is_free(self, public, shop, person):
        body = {"user_id": str(person.pk), "amount": 3, "expires_at": "2099-01-01T00:00:00Z"}
        shop.post("/v1/credits/add", body, HTTP_IDEMPOTENCY_KEY="expiring")
        answer = public.with_token(issue_access_token(person)).delete("/v1/auth/me")
        assert answer.json()["forfeits"] == 103
        User.objects.filter(pk=person.pk).update(deletes_at=timezone.now())

        assert erasure.erase_due() == 1

        last = CreditTransaction.objects.filter(holder_id=person.pk).latest("at")
        assert (last.type, last.amount, last.balance) == ("forfeit", -103, 0)
        assert UserCredit.objects.get(pk=person.pk).due_at is None
        assert list(verify.verify_user(person.pk).findings) == []

    def test_waits_for_holds_which_can_be_captured(self, public, shop, person):
        hold = {"user_id": str(person.pk), "amount": 30, "expires_in": 600}
        placed = shop.post("/v1/credits/holds", hold, HTTP_IDEMPOTENCY_KEY="hold").json()
        public.with_token(issue_access_token(person)).delete("/v1/auth/me")
        User.objects.filter(pk=person.pk).update(deletes_at=timezone.now())

        assert erasure.erase_due() == 0
        person.refresh_from_db()
        assert person.status == "pending_deletion"
        assert person.deletes_at.isoformat() == datetime.fromisoformat(placed["expires_at"]).isoformat()
        path = f"/v1/credits/holds/{placed['id']}/capture"
        assert shop.post(path, {"amount": 20}, HTTP_IDEMPOTENCY_KEY="capture").status_code == 200

        User.objects.filter(pk=person.pk).update(deletes_at=timezone.now())
        assert erasure.erase_due() == 1
        types = (
            CreditTransaction.objects.filter(holder_id=person.pk).order_by("at").values_list("type", "amount")
        )
        assert list(types) == [("bonus", 100), ("hold", 0), ("use", -20), ("forfeit", -80)]

    @pytest.mark.broken_on_purpose
    def test_one_who_cannot_be_erased_holds_up_nobody_else(self, person, make_user):
        other = make_user("other@example.com")
        UserCredit.objects.filter(pk=person.pk).update(open_lot=7)
        now = timezone.now()
        for user, waited in ((person, 2), (other, 1)):
            due = now - timedelta(days=waited)
            User.objects.filter(pk=user.pk).update(status="pending_deletion", deletes_at=due)

        assert erasure.erase_due() == 1
        assert list(User.objects.filter(status="deleted").values_list("pk", flat=True)) == [other.pk]

    def test_an_erased_user_is_given_nothing(self, shop, person):
        User.objects.filter(pk=person.pk).update(status="pending_deletion", deletes_at=timezone.now())
        erasure.erase_due()
        assert outcome(shop.get(f"/v1/credits/balance?user_id={person.pk}")) in {
            (404, "user_not_found"),
            (200, ""),
        }


class TestRetention:
    def test_unverified_users_with_credits_are_kept(self, make_user, shop, settings):
        rich, poor = (
            make_user("rich@example.com", verified=False),
            make_user("poor@example.com", verified=False),
        )
        spend(shop, rich, "add", 1, "a1")
        User.objects.update(created_at=timezone.now() - settings.RETENTION["unverified_users"] * 2)
        assert retention.purge()["unverified_users"] == 1
        assert list(User.objects.values_list("pk", flat=True)) == [rich.pk]
        assert not User.objects.filter(pk=poor.pk).exists()
