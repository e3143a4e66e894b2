"""`It was not me`: the mailbox's owner ends a registration that a stranger made."""

import re
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import MailToken, PendingRegistration, User
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, deliver_mails, link_in, outcome, post
from tests.fixtures import give_app

EMAIL = "ada@example.com"
FORM = "application/x-www-form-urlencoded"


def refusal_in(message):
    found = re.search(r"refuse-registration\?token=([\w-]+)", str(message.body))
    assert found is not None
    return found[1]


@pytest.mark.django_db
class TestRefuseRegistration:
    @pytest.mark.parametrize("token", ["", "x", "A" * 64])
    def test_refuses_unknown_links(self, public, register, token):
        register(EMAIL)
        assert outcome(post(public, "refuse-registration", token=token)) == (400, "token_invalid")
        assert User.objects.get().email == EMAIL

    def test_neither_link_does_what_the_other_does(self, public, register):
        message = register(EMAIL)
        assert outcome(post(public, "refuse-registration", token=link_in(message)))[0] == 400
        assert outcome(post(public, "verify-email", token=refusal_in(message)))[0] == 400

    def test_an_expired_link_is_refused(self, public, register):
        token = refusal_in(register(EMAIL))
        MailToken.objects.update(expires_at=Now() - timedelta(seconds=1))
        assert outcome(post(public, "refuse-registration", token=token)) == (400, "token_invalid")

    @pytest.mark.parametrize("confirmed_by_mistake", [False, True])
    def test_erases_the_account_and_frees_the_address(self, public, register, sign_in, confirmed_by_mistake):
        message = register(EMAIL, OTHER_PASSWORD, display_name="Thief")
        if confirmed_by_mistake:
            post(public, "verify-email", token=link_in(message))
            thief = {"access_token": "none"}
        else:
            thief = sign_in(EMAIL, OTHER_PASSWORD)
        assert post(public, "refuse-registration", token=refusal_in(message)).status_code == 204
        user = User.objects.get()
        assert (user.email, user.status, user.display_name) == (None, "deleted", "")
        assert public.with_token(thief["access_token"]).get("/v1/auth/me/status").status_code == 401
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 401
        assert outcome(post(public, "verify-email", token=link_in(message)))[0] == 400
        assert outcome(post(public, "refuse-registration", token=refusal_in(message)))[0] == 400
        post(public, "verify-email", token=link_in(register(EMAIL, PASSWORD)))
        sign_in(EMAIL, PASSWORD)

    def test_an_account_in_use_is_closed_with_grace(self, public, register, sign_in):
        """The mail may be in the hands of someone else: forwarded, shared, read over a shoulder (B4)."""
        message = register(EMAIL, OTHER_PASSWORD, display_name="Ada")
        post(public, "verify-email", token=link_in(message))
        pair = sign_in(EMAIL, OTHER_PASSWORD)
        give_app(User.objects.get())
        assert post(public, "refuse-registration", token=refusal_in(message)).status_code == 204
        user = User.objects.get()
        assert (user.email, user.status, user.display_name) == (EMAIL, "pending_deletion", "Ada")
        assert user.deletes_at - timezone.now() > timedelta(days=13, hours=23)
        assert public.with_token(pair["access_token"]).get("/v1/auth/me/status").status_code == 401
        assert outcome(post(public, "login", email=EMAIL, password=OTHER_PASSWORD))[0] == 401
        assert not Authenticator.objects.exists()
        (told,) = deliver_mails()
        assert (told.subject, told.to) == ("Your account will be deleted", [EMAIL])
        assert outcome(post(public, "refuse-registration", token=refusal_in(message)))[0] == 400
        post(public, "password-reset-request", email=EMAIL)
        link = next(link_in(one) for one in deliver_mails() if "password-reset?token=" in one.body)
        post(public, "password-reset", token=link, new_password=PASSWORD)
        answer = post(public, "login", email=EMAIL, password=PASSWORD, cancel_deletion=True)
        assert answer.status_code == 200

    def test_one_that_owns_something_is_closed_too(self, public, register, internal, service_key):
        message = register(EMAIL, OTHER_PASSWORD)
        post(public, "verify-email", token=link_in(message))
        body = {"user_id": str(User.objects.get().pk), "amount": 5, "type": "bonus"}
        shop = internal.with_key(service_key())
        added = shop.post("/v1/credits/add", body, headers={"Idempotency-Key": "k"})
        assert added.status_code == 201, added.content
        assert post(public, "refuse-registration", token=refusal_in(message)).status_code == 204
        assert User.objects.get().status == "pending_deletion"

    @pytest.mark.parametrize("confirmed", [False, True])
    def test_a_suspended_one_is_left_alone(self, public, register, confirmed):
        """Erased, it could register again and be in."""
        message = register(EMAIL, OTHER_PASSWORD)
        if confirmed:
            post(public, "verify-email", token=link_in(message))
        User.objects.update(status="suspended")
        answer = post(public, "refuse-registration", token=refusal_in(message))
        assert outcome(answer) == (400, "token_invalid")
        assert (User.objects.get().email, User.objects.get().status) == (EMAIL, "suspended")

    @pytest.mark.parametrize("refused", [0, 1])
    def test_of_several_it_ends_one(self, public, register, sign_in, refused):
        messages = [register(EMAIL, OTHER_PASSWORD), register(EMAIL, PASSWORD)]
        post(public, "refuse-registration", token=refusal_in(messages[refused]))
        assert PendingRegistration.objects.filter(voided_at=None).count() == 1
        assert outcome(post(public, "verify-email", token=link_in(messages[refused])))[0] == 400
        code = post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code
        assert code == (401 if refused == 0 else 200)
        assert post(public, "verify-email", token=link_in(messages[1 - refused])).status_code == 200
        deliver_mails()

    def test_page_and_form(self, public, register):
        token = refusal_in(register(EMAIL))
        page = public.get(f"/v1/auth/refuse-registration?token={token}")
        assert f'value="{token}"' in page.content.decode()
        assert User.objects.get().email == EMAIL
        answer = public.post("/v1/auth/refuse-registration", f"token={token}", content_type=FORM)
        assert (answer.status_code, "has been deleted" in answer.content.decode()) == (200, True)
        answer = public.post("/v1/auth/refuse-registration", f"token={token}", content_type=FORM)
        assert (answer.status_code, "didn't work" in answer.content.decode()) == (400, True)
        assert "If you have used this one before, it has done its work." in answer.content.decode()
        assert "Nothing was changed" not in answer.content.decode()

    def test_a_form_that_is_not_about_a_link_does_not_speak_of_one(self, public):
        answer = public.post("/v1/auth/password-reset-request", "email=nobody", content_type=FORM)
        assert (answer.status_code, "Nothing was changed." in answer.content.decode()) == (400, True)
        assert "Each link" not in answer.content.decode()
