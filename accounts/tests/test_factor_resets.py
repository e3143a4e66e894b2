"""Helps people who have lost every factor after 72 hours, unless the owner objects; and what a thief adds does not
stay.
"""

import json
from datetime import timedelta
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from accounts import tasks
from accounts.identity import erasure
from accounts.models import FactorReset, MFAToken, User
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, deliver_mails, link_in, outcome, post
from accounts.tests.test_factors import enrol
from tests.fixtures import give_app, issue_access_token

pytestmark = pytest.mark.django_db
EMAIL = "ada@example.com"


@pytest.fixture
def ada(make_user):
    user = make_user(EMAIL, password=PASSWORD)
    give_app(user)
    return User.objects.get(pk=user.pk)


def reset(*arguments: str) -> str:
    printed = StringIO()
    call_command("mfa_reset", *arguments, stdout=printed)
    return printed.getvalue()


class TestReset:
    def test_takes_72_hours_and_tells_the_owner_twice(self, ada, public):
        client = public.with_token(issue_access_token(ada))
        row = json.loads(reset("order", EMAIL, "--reason", "passport seen", "--json"))
        assert row["reason"] == "passport seen"
        (mail,) = deliver_mails()
        assert mail.subject == "Your second factor will be removed"
        FactorReset.objects.update(applies_at=Now() + timedelta(seconds=30))
        tasks.apply_factor_resets()
        assert Authenticator.objects.exists()
        FactorReset.objects.update(applies_at=Now())
        tasks.apply_factor_resets()
        assert not Authenticator.objects.exists()
        assert [mail.subject for mail in deliver_mails()] == ["Your second factor has been removed"]
        assert outcome(client.get("/v1/auth/me")) == (401, "session_revoked")
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200
        assert outcome(post(public, "cancel-mfa-reset", token=link_in(mail))) == (400, "token_invalid")

    def test_waits_three_days(self, ada):
        reset("order", EMAIL, "--reason", "x")
        row = FactorReset.objects.get()
        assert row.applies_at - row.created_at == timedelta(hours=72)

    def test_the_owner_objects_by_the_link_even_after_a_new_password(self, ada, public):
        reset("order", EMAIL, "--reason", "x")
        token = link_in(deliver_mails()[0])
        assert public.get(f"/v1/auth/cancel-mfa-reset?token={token}").status_code == 200
        assert FactorReset.objects.get().cancelled_at is None
        User.objects.update(email_verified_at=Now() - timedelta(days=30))
        post(public, "password-reset-request", email=EMAIL)
        post(public, "password-reset", token=link_in(deliver_mails()[0]), new_password=OTHER_PASSWORD)
        answer = public.post("/v1/auth/cancel-mfa-reset", {"token": token})
        assert answer.status_code == 200
        FactorReset.objects.update(applies_at=Now())
        tasks.apply_factor_resets()
        assert Authenticator.objects.count() == 2
        assert outcome(post(public, "cancel-mfa-reset", token=token)) == (400, "token_invalid")

    def test_staff_take_it_back(self, ada):
        reset("order", EMAIL, "--reason", "x")
        assert str(ada.pk) in reset("list")
        assert json.loads(reset("cancel", EMAIL, "--json"))["cancelled"] is True
        assert reset("list").strip() == "None."
        with pytest.raises(CommandError, match="No reset is pending"):
            reset("cancel", EMAIL)

    def test_is_refused(self, ada, make_user):
        make_user("bare@example.com")
        for arguments, why in (
            (("order", EMAIL), "reason"),
            (("order", "nobody@example.com", "--reason", "x"), "not found"),
            (("order", "bare@example.com", "--reason", "x"), "no second factor"),
        ):
            with pytest.raises(CommandError, match=why):
                reset(*arguments)
        reset("order", EMAIL, "--reason", "x")
        with pytest.raises(CommandError, match="already pending"):
            reset("order", EMAIL, "--reason", "x")

    def test_is_void_at_another_address(self, ada):
        reset("order", EMAIL, "--reason", "x")
        User.objects.update(email="other@example.com")
        FactorReset.objects.update(applies_at=Now())
        tasks.apply_factor_resets()
        assert Authenticator.objects.exists()
        assert FactorReset.objects.get().cancelled_at is not None


class TestTakeover:
    def test_the_undo_link_removes_what_a_thief_enrolled(self, make_user, public, sign_in):
        make_user(EMAIL, password=PASSWORD)
        thief = public.with_token(sign_in(EMAIL)["access_token"])
        thief.post("/v1/auth/change-email", {"new_email": "thief@example.com"})
        app = enrol(thief)
        undo = next(link_in(mail) for mail in deliver_mails() if "A change of" in mail.subject)
        refused = post(public, "login", email=EMAIL, password=PASSWORD)
        assert outcome(refused) == (401, "mfa_required")
        assert post(public, "undo-email-change", token=undo).status_code == 200
        assert not Authenticator.objects.exists()
        late = {"mfa_token": refused.json()["mfa_token"], "code": app["recovery_codes"][0]}
        assert outcome(public.post("/v1/auth/login/mfa", late)) == (401, "mfa_token_invalid")
        restored = link_in(deliver_mails()[-1])
        post(public, "password-reset", token=restored, new_password=OTHER_PASSWORD)
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 200

    def test_the_owners_own_factor_stays(self, ada, public):
        Authenticator.objects.update(created_at=Now() - timedelta(days=30))
        User.objects.update(email_verified_at=Now() - timedelta(days=30))
        thief = public.with_token(issue_access_token(ada, methods=["pwd", "otp", "mfa"]))
        thief.post("/v1/auth/change-email", {"new_email": "thief@example.com"})
        stolen = thief.post("/v1/auth/mfa/recovery-codes").json()["recovery_codes"]
        undo = next(link_in(mail) for mail in deliver_mails() if "A change of" in mail.subject)
        post(public, "undo-email-change", token=undo)
        assert list(Authenticator.objects.values_list("type", flat=True)) == ["totp"]
        assert len(stolen) == 10

    def test_a_reset_password_keeps_the_factor_of_a_proved_account(self, ada, public):
        User.objects.update(email_verified_at=Now() - timedelta(days=8))
        post(public, "password-reset-request", email=EMAIL)
        post(public, "password-reset", token=link_in(deliver_mails()[0]), new_password=OTHER_PASSWORD)
        answer = post(public, "login", email=EMAIL, password=OTHER_PASSWORD)
        assert outcome(answer) == (401, "mfa_required")

    def test_and_removes_it_within_a_week_of_its_proof(self, ada, public):
        post(public, "password-reset-request", email=EMAIL)
        post(public, "password-reset", token=link_in(deliver_mails()[0]), new_password=OTHER_PASSWORD)
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 200


def test_an_erased_user_leaves_no_factor(ada, public):
    post(public, "login", email=EMAIL, password=PASSWORD)
    reset("order", EMAIL, "--reason", "x")
    User.objects.update(status="pending_deletion", deletes_at=Now() - timedelta(seconds=1))
    erasure.erase_due()
    assert not Authenticator.objects.exists()
    assert not FactorReset.objects.exists()
    assert not MFAToken.objects.exists()


def test_the_export_names_factors_and_no_seed(ada, public):
    client = public.with_token(issue_access_token(ada, methods=["pwd", "otp", "mfa"]))
    answer = client.get("/v1/auth/me/export")
    text = b"".join(answer.streaming_content).decode()
    assert [row["type"] for row in json.loads(text)["second_factors"]] == ["totp", "recovery_code"]
    assert "sealed1" not in text
