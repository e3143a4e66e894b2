"""Addresses as people type them: which are one mailbox, which are two, which are none that we would write to."""

from functools import partial

import pytest
from django.core.mail.message import sanitize_address

from accounts.kit import email_address
from accounts.kit.email_address import InvalidEmail, UnsupportedEmail
from accounts.models import User
from accounts.tests.conftest import deliver_mails, outcome, post
from tests.effort import effort
from tests.fixtures import PASSWORD

LONG_LABEL = "b" * 63
LONGEST_DOMAIN = f"{LONG_LABEL}.{LONG_LABEL}.{'c' * 57}.de"  # 188 octets, 253 with 64 before the @

# What is typed, and what it is stored as.
ONE_FORM = [
    ("Ada@Example.COM", "ada@example.com"),
    ("ADA.LOVELACE+News@example.com", "ada.lovelace+news@example.com"),
    ("o'neil!#$%&'*+/=?^_`{|}~-@example.co.uk", "o'neil!#$%&'*+/=?^_`{|}~-@example.co.uk"),
    # Around it: white space of all sorts, and marks that come along when it is pasted.
    (" ada@example.com ", "ada@example.com"),
    ("\n\tada@example.com\r\n", "ada@example.com"),
    ("\xa0ada@example.com\u3000\u2003", "ada@example.com"),
    ("\u200b\ufeffada@example.com\u200e\u2069", "ada@example.com"),
    ("\u202a ada@example.com \u202c", "ada@example.com"),
    # Domains, in any spelling that IDNA takes for the same.
    ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
    ("ada@bu\u0308cher.example", "ada@xn--bcher-kva.example"),
    ("ada@XN--BCHER-KVA.Example", "ada@xn--bcher-kva.example"),
    ("ada@example\uff0ecom", "ada@example.com"),
    ("ada@例え\u3002テスト", "ada@xn--r8jz45g.xn--zckzah"),
    ("ada@\uff45xample.com", "ada@example.com"),
    # Domains with owners of their own.
    ("info@straße.de", "info@xn--strae-oqa.de"),
    ("info@STRASSE.de", "info@strasse.de"),
    ("boss@faß.de", "boss@xn--fa-hia.de"),
    ("boss@XN--FA-HIA.de", "boss@xn--fa-hia.de"),
    ("a@βόλος.com", "a@xn--nxasmm1c.com"),
    ("a@βόλοσ.com", "a@xn--nxasmq6b.com"),
    # Scripts from right to left, and a joiner that its script needs (RFC 5892, A.1).
    ("a@יום.com", "a@xn--9dbhn.com"),
    ("a@क्\u200dष.com", "a@xn--11b2ezcw70k.com"),
    # As long as may be.
    ("a" * 64 + f"@{LONGEST_DOMAIN}", "a" * 64 + f"@{LONGEST_DOMAIN}"),
    ("1@2.co", "1@2.co"),
    ("a@a-b.example", "a@a-b.example"),
    ("a@r3--x.example", "a@r3--x.example"),
]
REFUSED = [
    "", "@", "ada", "ada@", "@example.com", "ada@example", "ada@.com", "ada@example..com", "ada@example.com.",
    ".ada@example.com", "ada.@example.com", "a..b@example.com", "a b@example.com", "a@b@example.com",
    "a@@example.com", "a@b@c@example.com", '"a b"@example.com', '"ada"@example.com', '"a@b"@example.com',
    "Ada <ada@example.com>", "<ada@example.com>", "ada@example.com (Ada)", "(x)ada@example.com",
    "mailto:ada@example.com,eve@example.com", "ada@example.com,eve@example.com", "ada@example.com;eve@example.com",
    "ada@[127.0.0.1]", "ada@[IPv6:::1]", "ada@127.0.0.1", "ada@127.1", "ada@0x7f.0x1", "ada@1.2.3.0x7f",
    "ada@2130706433", "ada@localhost", "ada@exa_mple.com", "ada@-a.com", "ada@a-.com",
    "ada@xn--a.com", "ada@xn--.com", "ada@xn--e28h.com", "ada@\U0001f600.com", "ada@a\u2488com", "ada@\u2100.com",
    "ada@a\uff0fb.com", "ada@a\u2024b.com", "ada@exam ple.com", "ada@example.com\nBcc: eve@example.com",
    "ada\r\n@example.com", "ada\0@example.com", "ada@example.com\0", "ada@exa\0mple.com",
    "ada@a1\u05d0.com",  # two directions in one label
    "ada@a\u200db.com", "ada@a\u200cb.com",  # joiners where no script needs one
    f"ada@{'b' * 64}.de", f"ada@{'ü' * 60}.de", "a" * 65 + "@example.com", "a" * 64 + f"@x{LONGEST_DOMAIN}",
    "=?utf-8?q?ada?=@example.com", "=?us-ascii?q?=61da?=@example.com", "x=?utf-8?q?a.b?=@example.com",
]  # fmt: skip
UNSUPPORTED = [
    "jörg@example.com", "jo\u0308rg@example.com", "зоя@example.com", "用户@example.com", "groß@example.com",
    "\uff41da@example.com", "\u212ate@example.com", "ad\u017fa@example.com", "o\ufb03ce@example.com",
    "ad\u200ba@example.com", "ad\u3164a@example.com", "ad\u202ea@example.com", "ad\u00ada@example.com",
]  # fmt: skip


@pytest.mark.parametrize(("typed", "stored"), ONE_FORM)
def test_one_form(typed: str, stored: str) -> None:
    assert email_address.parse(typed) == stored
    assert email_address.parse(stored) == stored
    assert email_address.normalize(f"\t{typed}\u200b") == stored


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidEmail) as refusal:
        email_address.parse(text)
    assert refusal.value.code == "invalid_email"


@pytest.mark.parametrize("text", UNSUPPORTED)
def test_what_our_mails_would_not_reach_is_refused_by_name_and_never_folded(text: str) -> None:
    with pytest.raises(UnsupportedEmail):
        email_address.parse(text)
    assert [code for _, code, _ in email_address.faults(text)] == ["email_not_supported"]
    assert not email_address.normalize(text).isascii()


def test_nothing_that_parses_can_break_a_header() -> None:
    for number in (*range(0x3000), *range(0xD800, 0xD810), *range(0xE0000, 0xE0080)):
        for text in (f"a{chr(number)}b@example.com", f"a@b{chr(number)}c.com", f"{chr(number)}@b.com"):
            try:
                address = email_address.parse(text)
            except InvalidEmail:
                continue
            assert address.isascii()
            assert not set(address) & set('\r\n\0 ,;:<>()[]\\"')


def test_what_is_written_to_is_what_is_stored() -> None:
    """Django and Python decode RFC 2047 in addresses: the mail would reach another mailbox, past its budget."""
    assert sanitize_address("=?utf-8?q?ada?=@example.com", "utf-8") == "ada@example.com"
    for typed, stored in ONE_FORM:
        assert sanitize_address(email_address.parse(typed), "utf-8") == stored


def test_hostile_lengths_are_quick() -> None:
    def refuse(text: str) -> None:
        with pytest.raises(InvalidEmail):
            email_address.parse(text)

    ordinary = effort(lambda: email_address.parse("ada.lovelace@bücher.example"))
    long = (
        "a" * 60_000,
        "a@" + "b" * 60_000,
        "@" * 60_000,
        "a@" + "ü." * 30_000,
        "\ufdfa" * 250,
        "\u200b" * 60_000,
    )
    for text in long:
        assert effort(partial(refuse, text)) < 50 * ordinary


def test_a_mailbox_has_no_tags_and_at_gmail_no_dots() -> None:
    assert email_address.mailbox("A.d.a+x@GoogleMail.com") == "ada@gmail.com"
    assert email_address.mailbox("a.da+x@example.com") == "a.da@example.com"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("ada@example.com", "ada@example.com"),
        ("ada@xn--mnchen-3ya.de", "ada@münchen.de (xn--mnchen-3ya.de)"),
        ("ada@xn--a.com", "ada@xn--a.com"),
        ("", ""),
    ],
)
def test_staff_read_both_spellings(stored: str, shown: str) -> None:
    assert email_address.shown(stored) == shown


@pytest.mark.parametrize(
    ("stored", "is_ambiguous"),
    [
        ("info@strasse.de", True),  # straße.de, perhaps
        ("gross@example.com", True),
        ("info@xn--strae-oqa.de", False),
        ("a@xn--nxasmq6b.com", True),  # βόλοσ, of βόλος perhaps
        ("jörg@example.com", True),
        ("ada@example.com", False),
        ("ada@xn--mnchen-3ya.de", False),
    ],
)
def test_which_stored_ones_may_have_been_typed_otherwise(stored: str, *, is_ambiguous: bool) -> None:
    assert email_address.is_ambiguous(stored) is is_ambiguous


@pytest.mark.django_db
class TestThroughTheDoors:
    def test_who_signs_in_with_white_space_around_the_address_is_let_in(self, public, make_user):
        make_user("ada@example.com")
        for typed in ("ada@example.com\n", "\xa0ADA@example.com", "\u200bada@example.com\ufeff"):
            answer = post(public, "login", email=typed, password=PASSWORD)
            assert answer.status_code == 200, answer.content

    def test_the_owner_of_another_domain_opens_nothing(self, public, make_user):
        make_user("boss@fass.de")
        assert outcome(post(public, "login", email="boss@faß.de", password=PASSWORD)) == (
            401,
            "invalid_credentials",
        )
        assert post(public, "login", email="boss@FASS.de", password=PASSWORD).status_code == 200

    def test_a_registration_is_mailed_to_the_domain_that_was_typed(self, public):
        assert post(public, "register", email="Info@Straße.de", password=PASSWORD).status_code == 202
        assert [mail.to for mail in deliver_mails()] == [["info@xn--strae-oqa.de"]]

    def test_an_address_that_no_mail_reaches_is_refused_by_name(self, public):
        answer = post(public, "register", email="jörg@example.com", password=PASSWORD)
        assert outcome(answer) == (400, "validation_error")
        assert [fault["code"] for fault in answer.json()["errors"]] == ["email_not_supported"]
        assert not User.objects.exists()
