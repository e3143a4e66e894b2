"""A button that is clicked twice: the page says what is so; the API still says that the link is spent."""

import pytest

from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import MailToken, User
from accounts.tests.conftest import deliver_mails, link_in, outcome, post
from tests.fixtures import PASSWORD, issue_access_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
NEW = "ada@example.org"


def click(public, path, **fields):
    body = "&".join(f"{name}={value.replace('@', '%40')}" for name, value in fields.items())
    return public.raw("POST", f"/v1/auth/{path}", body.encode(), content_type=FORM)


class TestConfirming:
    @pytest.fixture
    def token(self, public):
        post(public, "register", email="ada@example.com", password=PASSWORD)
        return MailToken.objects.get(purpose=Purpose.VERIFY)

    def test_by_link(self, public, token):
        link = tokens.link_token(token)
        first, second = (click(public, "verify-email", token=link) for _ in range(2))
        assert (first.status_code, second.status_code) == (200, 200)
        assert "Your address is already confirmed" in second.content.decode()
        assert "already" not in first.content.decode()
        assert outcome(post(public, "verify-email", token=link)) == (400, "token_invalid")

    def test_by_code(self, public, token):
        typed = {"email": "ada@example.com", "code": tokens.code(token)}
        first, second = (click(public, "verify-email", **typed) for _ in range(2))
        assert (first.status_code, second.status_code) == (200, 200)
        assert "Your address is already confirmed" in second.content.decode()
        assert click(public, "verify-email", email="ada@example.com", code="BBBBBBBB").status_code == 400
        assert click(public, "verify-email", email="eve@example.com", code=typed["code"]).status_code == 400

    def test_in_german(self, public, token):
        click(public, "verify-email", token=tokens.link_token(token))
        body = f"token={tokens.link_token(token)}".encode()
        answer = public.raw(
            "POST", "/v1/auth/verify-email", body, content_type=FORM, headers={"Accept-Language": "de"}
        )
        assert "bereits bestätigt" in answer.content.decode()

    def test_a_link_that_was_never_used_says_nothing(self, public, token):
        MailToken.objects.filter(pk=token.pk).void()
        assert click(public, "verify-email", token=tokens.link_token(token)).status_code == 400
        assert click(public, "verify-email", token="x" * 64).status_code == 400

    def test_nor_does_one_of_an_address_that_is_another_by_now(self, public, token):
        click(public, "verify-email", token=tokens.link_token(token))
        User.objects.update(email="other@example.com")
        assert click(public, "verify-email", token=tokens.link_token(token)).status_code == 400


def test_another_address_and_the_old_one_back(public, make_user):
    ada = make_user("ada@example.com")
    client = ListenerClient("public", HTTP_AUTHORIZATION=f"Bearer {issue_access_token(ada)}")
    assert post(client, "change-email", new_email=NEW).status_code == 202
    links = {mail.to[0]: link_in(mail) for _ in range(2) for mail in deliver_mails()}
    for path, link, address in (
        ("confirm-email-change", links[NEW], NEW),
        ("undo-email-change", links["ada@example.com"], "ada@example.com"),
    ):
        first, second = (click(public, path, token=link) for _ in range(2))
        assert (first.status_code, second.status_code) == (200, 200), path
        assert address in second.content.decode()
        assert outcome(post(public, path, token=link)) == (400, "token_invalid")
        assert User.objects.get(pk=ada.pk).email == address
    late = click(public, "confirm-email-change", token=links[NEW])
    assert late.status_code == 400  # the address is not the account's any more


def test_a_new_password(public, make_user):
    ada = make_user("ada@example.com")
    link = tokens.link_token(tokens.issue(Purpose.RESET, user_id=ada.pk, email="ada@example.com"))
    first = click(public, "password-reset", token=link, new_password="another+sentence+of+mine")
    chosen = User.objects.get(pk=ada.pk).password
    second = click(public, "password-reset", token=link, new_password="yet+another+sentence")
    assert (first.status_code, second.status_code) == (200, 200)
    assert "This link was used before" in second.content.decode()
    assert User.objects.get(pk=ada.pk).password == chosen
    again = {"token": link, "new_password": "yet another sentence"}
    assert outcome(post(public, "password-reset", **again)) == (400, "token_invalid")
