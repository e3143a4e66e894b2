"""A restored backup: what ended after it was made stays ended. Here a savepoint is the backup."""

import json
from io import StringIO

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.management import CommandError, call_command
from django.db import transaction

from accounts import events, factors
from accounts.admin import roles
from accounts.factors import changes, resets
from accounts.front_ends import keys
from accounts.google import accounts
from accounts.identity import deletion, erasure, status
from accounts.kit.client import Client
from accounts.models import (
    FactorReset,
    FrontEndKey,
    MailToken,
    OutboxMessage,
    ServiceEvent,
    ServiceKey,
    Session,
    User,
)
from accounts.service_keys import issuing
from accounts.sign_in import by_factor, password_change
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, deliver_mails, outcome, post
from accounts.upkeep import staff_roles, tombstones
from tests.fixtures import give_app, issue_access_token, staff_session

pytestmark = pytest.mark.django_db
HERE = Client("127.0.0.1", "")


@pytest.fixture
def backup(tmp_path):
    """`restore` goes back to the moment of the backup, and leaves the file that was written just before."""

    class Backup:
        def __init__(self):
            self.savepoint, self.file = transaction.savepoint(), tmp_path / "tombstones.jsonl"

        def restore(self):
            call_command("tombstones", str(self.file))
            transaction.savepoint_rollback(self.savepoint)

        def apply(self):
            output = StringIO()
            call_command("after_restore", str(self.file), "--json", stdout=output)
            return json.loads(output.getvalue())

    return Backup


def erase(user):
    session = Session.objects.get(user=user)
    deletion.request(session, client=HERE)
    User.objects.filter(pk=user.pk).update(deletes_at="2000-01-01T00:00:00Z")
    assert erasure.erase(user.pk)


def test_erased_users_are_erased_again(make_user, backup):
    user = make_user("gone@example.com", display_name="Gone")
    issue_access_token(user)
    made = backup()
    erase(user)
    made.restore()
    assert User.objects.get(pk=user.pk).email == "gone@example.com"

    assert made.apply()["erased"] == 1

    user.refresh_from_db()
    assert (user.email, user.display_name, user.status) == (None, "", "deleted")
    assert made.apply()["erased"] == 0


def test_sessions_links_and_waiting_mails_of_the_backup_are_over(public, make_user, backup):
    user = make_user("here@example.com", password=PASSWORD)
    token = issue_access_token(user)
    post(public, "password-reset-request", email=user.email)
    deliver_mails()
    made = backup()
    made.restore()
    assert public.with_token(token).get("/v1/auth/me").status_code == 200
    assert MailToken.objects.filter(used_at=None, voided_at=None).exists()

    made.apply()

    assert outcome(public.with_token(token).get("/v1/auth/me")) == (401, "session_revoked")
    assert not MailToken.objects.filter(used_at=None, voided_at=None).exists()
    assert not OutboxMessage.objects.filter(sent_at=None, dead_at=None).exists()
    assert post(public, "login", email=user.email, password=PASSWORD).status_code == 200


def test_keys_revoked_since_are_revoked(internal, backup, user):
    issued = issuing.create(service="shop", scopes=["users:read"], actor="test")
    made = backup()
    issuing.revoke(key_id=issued.id, actor="test")
    made.restore()
    assert ServiceKey.objects.get(pk=issued.id).revoked_at is None

    assert made.apply()["revoked"] == 1
    assert ServiceKey.objects.get(pk=issued.id).revoked_at is not None


def test_keys_of_front_ends_revoked_since_are_revoked(backup):
    """Someone with such a key can call from any address that they like."""
    key = keys.make(name="shop", actor="test")
    made = backup()
    keys.revoke(key_id=key.id, actor="test")
    gone = keys.make(name="shop", actor="test")
    keys.revoke(key_id=gone.id, actor="test")
    made.restore()
    assert FrontEndKey.objects.get().revoked_at is None

    assert made.apply()["front_end_revoked"] == 1
    assert FrontEndKey.objects.get().revoked_at is not None


@pytest.mark.parametrize("before", ["active", "pending_deletion"])
def test_users_suspended_since_are_suspended(make_user, backup, before):
    user = make_user(status=before)
    made = backup()
    status.suspend(user_id=user.pk, reason="x", actor="test")
    made.restore()

    assert made.apply()["suspended"] == 1
    assert User.objects.get(pk=user.pk).status == "suspended"


def test_a_password_that_was_replaced_opens_nothing(public, make_user, backup):
    user, other = (
        make_user("known@example.com", password=PASSWORD),
        make_user("other@example.com", password=PASSWORD),
    )
    issue_access_token(user)
    made = backup()
    session = Session.objects.get(user=user)
    session.user = user
    password_change.change(session, current_password=PASSWORD, new_password=OTHER_PASSWORD, client=HERE)
    made.restore()

    assert made.apply()["new_password"] == 1

    assert outcome(post(public, "login", email=user.email, password=PASSWORD)) == (401, "invalid_credentials")
    assert post(public, "login", email=other.email, password=PASSWORD).status_code == 200
    [mail] = [mail for mail in deliver_mails() if mail.to == [user.email]]
    assert "password-reset" in mail.body


def test_a_password_that_the_backup_knows_stays(public, make_user, backup):
    user = make_user("known@example.com", password=PASSWORD)
    issue_access_token(user)
    session = Session.objects.get(user=user)
    session.user = user
    password_change.change(session, current_password=PASSWORD, new_password=OTHER_PASSWORD, client=HERE)
    made = backup()
    made.restore()
    assert made.apply()["new_password"] == 0
    assert post(public, "login", email=user.email, password=OTHER_PASSWORD).status_code == 200


class TestWaysIn:
    def test_a_factor_and_a_link_removed_since_are_removed(self, make_user, backup):
        user, other = make_user("lost@example.com"), make_user("other@example.com")
        for one in (user, other):
            give_app(one)
            issue_access_token(one)
            SocialAccount.objects.create(user=one, provider="google", uid=str(one.pk))
        made = backup()
        session = Session.objects.get(user=user)
        changes.remove_totp(session, client=HERE)
        accounts.unlink(session, client=HERE)
        made.restore()
        assert factors.names_of(user.pk) == ["totp", "recovery_code"]

        assert made.apply()["ways_in"] == 1

        assert factors.names_of(user.pk) == []
        assert list(SocialAccount.objects.values_list("user_id", flat=True)) == [other.pk]
        assert factors.names_of(other.pk) == ["totp", "recovery_code"]
        assert made.apply()["ways_in"] == 0

    def test_what_was_added_after_the_removal_and_is_in_the_backup_stays(self, make_user, backup):
        user = make_user()
        give_app(user)
        issue_access_token(user)
        changes.remove_totp(Session.objects.get(user=user), client=HERE)
        give_app(user)
        made = backup()
        made.restore()
        assert made.apply()["ways_in"] == 0
        assert factors.names_of(user.pk) == ["totp", "recovery_code"]

    def test_a_recovery_code_that_was_used_opens_nothing_again(self, make_user, backup):
        user = make_user()
        give_app(user)
        made = backup()
        by_factor.note_use(user, factors.of(user.pk, "recovery_codes").get(), client=HERE)
        made.restore()
        assert made.apply()["recovery_codes"] == 1
        assert factors.names_of(user.pk) == ["totp"]

    def test_a_reset_of_factors_is_not_applied(self, make_user, backup, settings):
        user = make_user()
        give_app(user)
        resets.request(user_id=user.pk, reason="Says so.", actor="test")
        made = backup()
        resets.cancel(user_id=user.pk, actor="test")
        made.restore()
        assert made.apply()["factor_resets"] == 1
        assert not FactorReset.objects.open().exists()


class TestStaff:
    def test_have_no_more_than_at_the_end(self, make_user, backup):
        staff_roles.sync()
        gone, fewer, same = (make_user(f"{name}@example.com") for name in ("gone", "fewer", "same"))
        boss = make_user("boss@example.com", is_staff=True, is_superuser=True)
        for user in (gone, fewer, same):
            roles.assign(
                user_id=user.pk, roles=["support", "finance"], is_staff=True, reason="x", actor="test"
            )
        made = backup()
        roles.assign(user_id=gone.pk, roles=[], is_staff=False, reason="x", actor="test")
        roles.assign(user_id=fewer.pk, roles=["support"], is_staff=True, reason="x", actor="test")
        User.objects.filter(pk=boss.pk).update(is_superuser=False)
        made.restore()

        assert made.apply()["staff"] == 3

        found = {user.email.partition("@")[0]: user for user in User.objects.all()}
        assert {name: user.is_staff for name, user in found.items()} == {
            "gone": False, "fewer": True, "same": True, "boss": True,
        }  # fmt: skip
        assert not found["boss"].is_superuser
        assert {name: sorted(user.groups.values_list("name", flat=True)) for name, user in found.items()} == {
            "gone": [], "fewer": ["support"], "same": ["finance", "support"], "boss": [],
        }  # fmt: skip
        assert made.apply()["staff"] == 0

    def test_sign_in_again(self, make_user, backup):
        client = staff_session(make_user(is_staff=True, is_superuser=True))
        made = backup()
        made.restore()
        assert client.get("/admin/").status_code == 200
        assert made.apply()["admin_sessions"] == 1
        assert client.get("/admin/").status_code == 302


def test_who_has_stayed_is_not_erased(make_user, backup):
    user = make_user()
    issue_access_token(user)
    deletion.request(Session.objects.get(user=user), client=HERE)
    made = backup()
    deletion.cancel(User.objects.get(pk=user.pk), client=HERE)
    made.restore()
    assert made.apply()["kept"] == 1
    user.refresh_from_db()
    assert (user.status, user.deletes_at) == ("active", None)
    assert made.apply()["kept"] == 0


def test_positions_that_readers_have_seen_are_not_given_again(user, backup):
    events.emit("user.verified", user_id=user.pk, data={})
    events.give_positions()
    made = backup()
    for _ in range(5):
        events.emit("user.verified", user_id=user.pk, data={})
    seen = max(event.position or 0 for event in events.in_order())
    made.restore()
    made.apply()
    events.emit("user.verified", user_id=user.pk, data={})
    events.give_positions()
    assert (ServiceEvent.objects.latest("id").position or 0) > seen


def test_half_a_file_and_another_file_are_refused_before_anything_is_done(user, tmp_path):
    issue_access_token(user)
    rows = [json.dumps(row, default=str) for row in tombstones.rows()]
    for text in ("", "\n".join(rows[:-1]), '{"kind": "end", "rows": 3}\n', "no json\n", "[]\n"):
        file = tmp_path / "file"
        file.write_text(text)
        with pytest.raises(CommandError):
            call_command("after_restore", str(file))
    with pytest.raises(CommandError):
        call_command("after_restore")
    assert Session.objects.filter(ended_at=None).exists()
