"""Codes as people type or paste them, at every door that takes one."""

# ruff: noqa: RUF001 -- letters that look alike are what this is about

import pytest

from accounts.factors import totp
from accounts.kit import typed_codes
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import MailToken, User
from accounts.tests.conftest import post
from tests.authenticators import code_of
from tests.fixtures import PASSWORD, give_app

SIX = [
    "123456", " 123456", "123456\n", "\t123\t456\r\n", "123 456", "123\xa0456", "123\u2009456", "123\u202f456",
    "1-2-3-4-5-6", "123\u2013456", "123\u2212456", "123\u2010456", "\u200b123456\ufeff", "\u200e123456\u200f",
    "１２３４５６", "١٢٣٤٥٦", "۱۲۳۴۵۶", "१२३४५६", "\U0001d7cf23456", "l23456", "I23456", "123_456", "①23456",
]  # fmt: skip
NOT_SIX = [
    "",
    "12345",
    "1234567",
    "12345x",
    "12345\u0661\u0662",
    "12345½",
    "²³4567",
    "123456" * 20,
    "\0",
    "一二三四五六",
    "0x1234",
]


@pytest.mark.parametrize("typed", SIX)
def test_digits(typed: str) -> None:
    assert typed_codes.digits(typed) == "123456"


@pytest.mark.parametrize("typed", NOT_SIX)
def test_other_digits(typed: str) -> None:
    assert typed_codes.digits(typed) != "123456"


def test_letters_for_digits_are_read_where_a_code_has_no_letters() -> None:
    assert typed_codes.digits("OoIl 0011-" * 2) == "0011001100110011"


@pytest.mark.parametrize(
    "typed",
    [
        "BCDFGHJK",
        "bcdfghjk",
        " bcdf-ghjk\n",
        "BCDF\xa0GHJK",
        "ＢＣＤＦＧＨＪＫ",
        "\u200bBCDF\u2014GHJK",
        "b c d f g h j \u212a",
    ],
)
def test_letters(typed: str) -> None:
    assert typed_codes.letters(typed) == "BCDFGHJK"


@pytest.mark.parametrize("typed", ["", "ВCDFGHJK", "BCDFGHJK" * 9, "BCDFGHJ"])
def test_other_letters(typed: str) -> None:
    assert typed_codes.letters(typed) != "BCDFGHJK"


def dressed(code: str) -> str:
    half = len(code) // 2
    return f"\u200b {code[:half]}\xa0-{code[half:]}\n"


def full_width(code: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) for one in code)


@pytest.mark.django_db
@pytest.mark.parametrize("dress", [dressed, full_width])
class TestThroughTheDoors:
    def test_of_an_app(self, public, make_user, dress):
        secret = give_app(make_user("ada@example.com"))
        assert self.second_step(public, dress(code_of(secret))).status_code == 200

    def test_of_paper(self, public, make_user, dress):
        ada = make_user("ada@example.com")
        give_app(ada)
        code = totp.make_recovery_codes(ada)[3]
        assert self.second_step(public, dress(code)).status_code == 200

    def second_step(self, public, code):
        token = post(public, "login", email="ada@example.com", password=PASSWORD).json()["mfa_token"]
        return post(public, "login/mfa", mfa_token=token, code=code)

    def test_of_a_mail(self, public, dress):
        post(public, "register", email="ada@example.com", password=PASSWORD)
        code = tokens.code(MailToken.objects.get(purpose=Purpose.VERIFY))
        answer = post(public, "verify-email", email="\xa0Ada@example.com\n", code=dress(code.lower()))
        assert answer.status_code == 200, answer.content
        assert User.objects.get().email_verified
