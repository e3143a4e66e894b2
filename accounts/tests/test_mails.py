"""Each kind of mail is rendered: HTML and text say the same, and nothing in it was typed by a stranger."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.conf import settings

import catalogues
from accounts import audit
from accounts.audit import Event
from accounts.kit.client import Client
from accounts.mail import kinds, tokens
from accounts.mail.terms import HOUR, MINUTE, in_units
from accounts.models import OutboxMessage

LATER = datetime(2026, 12, 7, 14, 5, tzinfo=UTC)
STRANGE = "Click <b>here</b> evil.example"


OF_A_REQUEST = {"request": "a-request", "amount": 25000, "at_stake": 19900, "currency": "eur"}
WITHOUT_LINK = {kinds.EMAIL_CHANGE_TAKEN, kinds.ADDRESS_RESERVED}


@pytest.fixture(params=[*kinds.KINDS, *kinds.NOTICES])
def kind(request):
    return request.param


@pytest.fixture
def language():
    return "en"


@pytest.fixture
def mail(kind, language, make_user, settings):
    settings.ADMIN_BASE_URL = "https://admin.test"
    user = make_user(
        "ada@example.com",
        verified=kind in kinds.NOTICES,
        display_name=STRANGE,
        locale=language,
        deletes_at=LATER,
    )
    if kind in kinds.NOTICES:
        client = Client("192.0.2.1", f"{STRANGE} Firefox Windows")
        detail = OF_A_REQUEST if kind in kinds.OF_STAFF else {}
        event = audit.record(Event.SIGNED_IN, user_id=user.pk, client=client, detail=detail)
        about = {"event": event, "requested_email": user.email}
    else:
        purpose = tokens.Purpose.VERIFY if kind == kinds.VERIFY_EMAIL else tokens.Purpose.RESET
        about = {"token": tokens.issue(purpose, user_id=user.pk, email=user.email)}
    return kinds.compose(OutboxMessage.objects.create(kind=kind, user=user, **about))


@pytest.mark.django_db
class TestEveryKind:
    def test_has_text_and_html_with_the_same_links(self, mail, kind):
        html, media_type = mail.alternatives[0]
        assert media_type == "text/html"
        links = set(re.findall(r"https://[^\s\"<]+", html))
        assert links == set(re.findall(r"https://\S+", mail.body))
        with_token = {link.partition("?")[0].rpartition("/")[2] for link in links if "token=" in link}
        assert len(with_token) == (0 if kind in kinds.NOTICES or kind in WITHOUT_LINK else len(links))
        ours = "https://admin.test/admin/" if kind in kinds.OF_STAFF else "https://auth.test/v1/auth/"
        assert all(link.startswith(ours) for link in links if "w3.org" not in link)

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


@pytest.mark.django_db
class TestEveryLanguage:
    @pytest.fixture(params=[language for language in settings.MAIL_LANGUAGES if language != "en"])
    def language(self, request):
        return request.param

    def test_says_all_of_it_in_that_language(self, mail, language):
        html = unescape(re.sub(r"\s+", " ", mail.alternatives[0][0]))
        text = re.sub(r"\s+", " ", mail.body)
        assert f'<html lang="{language}"' in html
        said = {entry.msgid: entry.msgstr for entry in catalogues.catalogue(language)}
        english = [msgid for msgid in said if len(msgid) > 12 and "%" not in msgid and msgid != said[msgid]]
        for whole in (html, text, mail.subject):
            assert not [msgid for msgid in english if msgid in whole]
            assert "%(" not in whole
            assert "{{" not in whole
        assert mail.subject in said.values()
        assert mail.subject in html
        assert mail.subject in text

    def test_lines_of_text_are_short(self, mail):
        assert all(len(line) <= 78 or "token=" in line for line in mail.body.splitlines())


NUMBER_WORDS = r"\d|\b(quarter|one hour|an hour|three days|seven days|ten times|ten wrong|twenty)\b"


class TestNumbers:
    """How long and how often: what the settings say, in every language."""

    @pytest.fixture(params=["en", *catalogues.LANGUAGES])
    def language(self, request):
        return request.param

    @pytest.fixture(autouse=True)
    def _odd_ones(self, settings, monkeypatch):
        purposes = tokens.Purpose
        odd = {
            purposes.RESET: 41,
            purposes.CHANGE_EMAIL: 43,
            purposes.UNDO_EMAIL: 11 * 1440,
            purposes.VERIFY: 47 * 60,
        }
        lasting = {purpose: timedelta(minutes=minutes) for purpose, minutes in odd.items()}
        monkeypatch.setattr(tokens, "LIFETIMES", {**tokens.LIFETIMES, **lasting})
        monkeypatch.setattr(tokens, "CODE_LIFETIMES", {purposes.VERIFY: timedelta(minutes=13)})
        settings.FACTOR_RESET_DELAY = timedelta(hours=37)
        settings.RATE_LIMITS = {
            **settings.RATE_LIMITS,
            "wrong_proofs": (17, 19 * 60),
            "factor_pauses": (100, 7 * 86400, 23, 29 * 60),
        }

    @pytest.mark.django_db
    def test_of_a_mail(self, mail, kind):
        wanted = {
            kinds.VERIFY_EMAIL: {"47", "13"},
            kinds.ADDRESS_TAKEN: {"41"},
            kinds.ADDRESS_CONTESTED: {"41"},
            kinds.PASSWORD_TO_CHOOSE: {"41"},
            kinds.PASSWORD_RESET_LINK: {"41"},
            kinds.ADDRESS_RESTORED: {"41"},
            kinds.EMAIL_CHANGE_CONFIRM: {"43", "11"},
            kinds.EMAIL_CHANGE_NOTICE: {"11"},
            kinds.EMAIL_CHANGED: {"11"},
            kinds.ADDRESS_RESERVED: {"11"},
            kinds.FACTOR_RESET_STARTED: {"37"},
            kinds.FACTOR_RESET_DONE: {"37"},
            kinds.PROOFS_EXHAUSTED: {"17", "19"},
            kinds.FACTORS_GUESSED: {"23", "29"},
        }.get(kind, set())
        odd = {"11", "13", "17", "19", "23", "29", "37", "41", "43", "47"}
        html = re.sub(
            r"<style.*?</style>|<[^>]*>|192\.0\.2\.1", " ", mail.alternatives[0][0], flags=re.DOTALL
        )
        text = re.sub(r"https://\S+|192\.0\.2\.1", " ", mail.body)
        times = r"\d{1,2}:\d\d|\d{4}-\d\d-\d\d|\d{1,2}\.?(?: de)? \w+(?: de)? \d{4}"
        for shown in (text, html):
            found = set(re.findall(r"\b\d+\b", re.sub(times, " ", shown)))
            assert wanted <= found
            assert not found & (odd - wanted)

    def test_none_is_in_a_text(self):
        typed = [
            text
            for text in catalogues.messages()
            if re.search(NUMBER_WORDS, re.sub(r"%\(\w+\)\w", "", text), re.IGNORECASE)
        ]
        assert typed == []

    @pytest.mark.parametrize(
        ("duration", "unit", "written"),
        [
            (timedelta(hours=72), HOUR, "72"),
            (timedelta(minutes=90), HOUR, "1.5"),
            (timedelta(minutes=60), MINUTE, "60"),
            (timedelta(hours=1), MINUTE, "60"),
        ],
    )
    def test_are_written_short(self, duration, unit, written):
        assert in_units(duration, unit) == written


@pytest.mark.django_db
def test_pages_tell_the_same_numbers(public, settings, monkeypatch):
    monkeypatch.setattr(tokens, "CODE_LIFETIMES", {tokens.Purpose.VERIFY: timedelta(minutes=13)})
    for language, words in (
        ("en", "valid for 13 minutes"),
        ("de", "gilt 13 Minuten"),
        ("fr", "valable 13 minutes"),
    ):
        page = public.get("/v1/auth/verify-email", headers={"Accept-Language": language})
        assert words in page.content.decode()
