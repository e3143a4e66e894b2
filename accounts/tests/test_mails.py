"""Each kind of mail is rendered: HTML and text say the same, and nothing in it was typed by a stranger."""

import re

import pytest

from accounts import audit, mail_tokens, mails
from accounts.audit import Event
from accounts.client import Client
from accounts.models import OutboxMessage

STRANGE = "Click <b>here</b> evil.example"


WITHOUT_LINK = {mails.EMAIL_CHANGE_TAKEN, mails.ADDRESS_RESERVED}


@pytest.fixture(params=[*mails.KINDS, *mails.NOTICES])
def kind(request):
    return request.param


@pytest.fixture
def mail(kind, make_user):
    user = make_user("ada@example.com", verified=kind in mails.NOTICES, display_name=STRANGE)
    if kind in mails.NOTICES:
        client = Client("192.0.2.1", f"{STRANGE} Firefox Windows")
        event = audit.record(Event.SIGNED_IN, user_id=user.pk, client=client)
        about = {"event": event, "requested_email": user.email}
    else:
        purpose = mail_tokens.Purpose.VERIFY if kind == mails.VERIFY_EMAIL else mail_tokens.Purpose.RESET
        about = {"token": mail_tokens.issue(purpose, user_id=user.pk, email=user.email)}
    return mails.compose(OutboxMessage.objects.create(kind=kind, user=user, **about))


@pytest.mark.django_db
class TestEveryKind:
    def test_has_text_and_html_with_the_same_links(self, mail, kind):
        html, media_type = mail.alternatives[0]
        assert media_type == "text/html"
        links = set(re.findall(r"https://[^\s\"<]+", html))
        assert links == set(re.findall(r"https://\S+", mail.body))
        with_token = {link.partition("?")[0].rpartition("/")[2] for link in links if "token=" in link}
        assert len(with_token) == (0 if kind in mails.NOTICES or kind in WITHOUT_LINK else len(links))
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
