"""Mails, the pages behind their links and receipts carry the name, colour, logo and addresses of the operator."""

import copy
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from accounts import audit, mail
from accounts.audit import Event
from accounts.mail import kinds
from accounts.models import OutboxMessage
from config.settings import brand
from config.settings.environment import sender

pytestmark = pytest.mark.django_db
DETAIL = {
    "name": "Large", "quantity": 1, "amount": 2380, "tax": 380, "currency": "eur", "credits": 1000, "posted": 1000,
    "number": "8A2C-0001", "document": "https://invoice.stripe.com/i/1", "paid_at": "2026-11-23T10:00:00+00:00",
}  # fmt: skip


@pytest.fixture
def branded(settings: Any) -> None:
    settings.SERVICE_NAME = "Acme"
    settings.ADMIN_BASE_URL = "https://admin.test"
    settings.BRAND_COLOR = "#7a1f5f"
    settings.BRAND_LOGO = "https://cdn.acme.example/logo.png"
    settings.SUPPORT_EMAIL = "help@acme.example"
    settings.MAIL_REPLY_TO = "answers@acme.example"
    settings.IMPRINT = ["Acme GmbH <Berlin>", "VAT DE123456789"]


def composed(make_user: Any, kind: str = mail.PURCHASE, **detail: Any) -> Any:
    user = make_user("ada@example.com")
    event = audit.record(Event.PURCHASED, user_id=user.pk, detail={**DETAIL, **detail})
    row = OutboxMessage.objects.create(kind=kind, user=user, event=event, requested_email=user.email)
    return kinds.compose(row)


def test_a_mail_says_whose_it_is(branded, make_user) -> None:
    message = composed(make_user, mail.REFUND_WAITS, request="a-request", at_stake=990)
    html = message.alternatives[0][0]
    assert message.reply_to == ["answers@acme.example"]
    assert '<img src="https://cdn.acme.example/logo.png" alt="Acme"' in html
    assert "Acme GmbH &lt;Berlin&gt;" in html
    assert 'href="mailto:help@acme.example"' in html
    assert "#7a1f5f" in html
    assert "#1f5fbf" not in html
    assert "Questions? Write to help@acme.example." in message.body
    assert "Acme GmbH <Berlin>\nVAT DE123456789" in message.body


def test_a_mail_about_a_payment_is_a_receipt(branded, make_user) -> None:
    message = composed(make_user)
    html = message.alternatives[0][0]
    for text in (html, message.body):
        for part in ("8A2C-0001", "23 November 2026", "Large", "23.80 EUR", "includes 3.80 EUR tax", "1,000",
                     "VAT DE123456789", "https://invoice.stripe.com/i/1"):  # fmt: skip
            assert part in text, part


def test_details_of_the_version_before_make_a_mail_too(make_user) -> None:
    body = composed(make_user, tax=None, number=None, document=None, paid_at=None).body
    assert "23.80 EUR" in body
    assert "None" not in body
    assert "tax" not in body


def test_without_branding_nothing_is_added(make_user) -> None:
    message = composed(make_user, mail.PASSWORD_CHANGED)
    assert not message.reply_to
    assert "<img" not in message.alternatives[0][0]
    assert "Questions?" not in message.body
    assert "\n-- \n" not in message.body


def test_a_page_says_whose_it_is_and_may_load_the_logo(branded, public) -> None:
    answer = public.get("/v1/auth/password-reset-request")
    page = answer.content.decode()
    assert "img-src data: https://cdn.acme.example;" in answer.headers["Content-Security-Policy"]
    assert 'src="https://cdn.acme.example/logo.png"' in page
    assert "--brand: #7a1f5f" in page
    assert "mailto:help@acme.example" in page
    assert "Acme GmbH &lt;Berlin&gt;" in page


def test_templates_of_a_directory_come_first(settings, tmp_path: Path, make_user) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "purchase.txt").write_text("Acme thanks you: {{ detail.number }}")
    templates = copy.deepcopy(settings.TEMPLATES)
    templates[0]["DIRS"].insert(0, tmp_path)
    settings.TEMPLATES = templates
    message = composed(make_user)
    assert message.body.startswith("Acme thanks you: 8A2C-0001")
    assert "Large" in message.alternatives[0][0]


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("BRAND_COLOR", "blue", brand._color),
        ("BRAND_COLOR", "#1f5fb", brand._color),
        ("BRAND_COLOR", "#ffd000", brand._color),
        ("BRAND_COLOR", "#1f5fbf;x", brand._color),
        ("BRAND_LOGO", "http://acme.example/logo.png", brand._logo),
        ("BRAND_LOGO", 'https://acme.example/"onerror', brand._logo),
        ("BRAND_LOGO", "https:///logo.png", brand._logo),
        ("BRAND_LOGO", "https://acme.example; script-src *", brand._logo),
        ("SUPPORT_EMAIL", "Help <help@acme.example>", lambda: brand._address("SUPPORT_EMAIL")),
        ("SUPPORT_EMAIL", "help@acme.example, x@y.example", lambda: brand._address("SUPPORT_EMAIL")),
        ("MAIL_REPLY_TO", "help", lambda: brand._address("MAIL_REPLY_TO")),
        ("MAIL_FROM", "Acme, Inc. <no-reply@acme.example>", lambda: sender("MAIL_FROM")),
        ("MAIL_FROM", "Acme", lambda: sender("MAIL_FROM")),
        ("MAIL_FROM", "Acme <no-reply@acme.example>\nBcc: all@acme.example", lambda: sender("MAIL_FROM")),
        ("TEMPLATES_DIR", "/nowhere/at/all", brand._templates),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(monkeypatch, variable, value, read) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ImproperlyConfigured, match=variable):
        read()


@pytest.mark.parametrize(
    "value",
    ['"Acme, Inc." <no-reply@acme.example>', "Müller <no-reply@acme.example>", "no-reply@acme.example"],
)
def test_a_sender_may_have_a_name(monkeypatch, value) -> None:
    monkeypatch.setenv("MAIL_FROM", value)
    assert sender("MAIL_FROM") == value


@pytest.mark.parametrize(("value", "color"), [("#7A1F5F", "#7a1f5f"), ("#000000", "#000000")])
def test_a_colour_is_read(monkeypatch, value, color) -> None:
    monkeypatch.setenv("BRAND_COLOR", value)
    assert brand._color() == color
