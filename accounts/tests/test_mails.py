"""Each kind of mail is rendered: HTML and text say the same, and nothing in it was typed by a stranger."""

import re

import pytest

from accounts import mail_tokens, mails
from accounts.models import OutboxMessage

STRANGE = "Click <b>here</b> evil.example"


@pytest.fixture(params=mails.KINDS)
def mail(request, make_user):
    user = make_user("ada@example.com", verified=False, display_name=STRANGE)
    purpose = mail_tokens.Purpose.VERIFY if request.param == mails.VERIFY_EMAIL else mail_tokens.Purpose.RESET
    token = mail_tokens.issue(purpose, user_id=user.pk, email=user.email)
    return mails.compose(OutboxMessage.objects.create(kind=request.param, user=user, token=token))


@pytest.mark.django_db
class TestEveryKind:
    def test_has_text_and_html_with_one_link(self, mail):
        html, kind = mail.alternatives[0]
        assert kind == "text/html"
        links = set(re.findall(r"https://[^\s\"<]+", html)) | set(re.findall(r"https://\S+", mail.body))
        assert len({link for link in links if "token=" in link}) == 1
        assert all(link.startswith("https://auth.test/v1/auth/") for link in links if "w3.org" not in link)

    def test_loads_nothing_and_leaves_no_tag_unfilled(self, mail):
        html = mail.alternatives[0][0]
        assert not re.search(r"<(img|script|link|iframe|form)\b|url\(|@import", html)
        for text in (html, mail.body, mail.subject):
            assert "{{" not in text
            assert "{%" not in text
            assert "None" not in text

    def test_says_nothing_that_somebody_typed(self, mail):
        whole = mail.message().as_string()
        assert "evil.example" not in whole
        assert "ada@" not in mail.subject

    def test_headers(self, mail):
        message = mail.message()
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["To"] == "ada@example.com"
        assert "\n" not in message["Subject"]

    def test_lines_of_text_are_short(self, mail):
        assert all(len(line) <= 78 or "token=" in line for line in mail.body.splitlines())
