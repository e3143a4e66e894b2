"""Names as people write them: every script, emoji of any year, and nothing that hides or turns a line around."""

# ruff: noqa: RUF001 -- letters that look alike are what this is about

import unicodedata

import pytest

from accounts.kit import names
from accounts.kit.names import LONGEST
from accounts.models import User
from accounts.tests.conftest import outcome, post
from tests.fixtures import PASSWORD

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
# Assigned in Unicode 16 and 17, which Python 3.11 does not know.
NEW_EMOJI = ["\U0001fae9", "\U0001fadf", "\U0001f6d8", "\U0001fac8"]
ACCEPTED = [
    ("Ada", "Ada"),
    ("", ""),
    ("  Ada  Lovelace\t\n", "Ada  Lovelace"),
    ("\u3000\xa0Ada\u2003", "Ada"),
    ("A\u030angstro\u0308m", "\xc5ngstr\xf6m"),
    ("Đặng Thị Hương", "Đặng Thị Hương"),
    ("\u200fדוד\u200f", "דוד"),
    ("דוד \u200f(David)", "דוד \u200f(David)"),
    ("\u200e\u200f \u061cمحمد\u200e", "محمد"),
    ("\ufeffAda\u200b", "Ada"),
    (f"Ada {FAMILY}", f"Ada {FAMILY}"),
    (ENGLAND, ENGLAND),
    ("क्\u200dष", "क्\u200dष"),
    ("\u2764\ufe0f", "\u2764\ufe0f"),
    ("\U0001f44d\U0001f3fd", "\U0001f44d\U0001f3fd"),
    ("1\ufe0f\u20e3", "1\ufe0f\u20e3"),
    ("葛\U000e0100城", "葛\U000e0100城"),
    ("<b>Ada</b> & 'Bob'", "<b>Ada</b> & 'Bob'"),
    ("🌒", "🌒"),
    ("-", "-"),
    ("x" * LONGEST, "x" * LONGEST),
    *((emoji, emoji) for emoji in NEW_EMOJI),
    (f"Ada {NEW_EMOJI[0]}", f"Ada {NEW_EMOJI[0]}"),
]
REFUSED = [
    # Nothing that can be seen.
    " ", "\t\n", "\xa0", "\u3000", "\u200b", "\u200b\u200b", "\u3164", "\uffa0", "\u115f\u1160", "\u2800", "\u200d",
    "\u200f",     "\ufe0f", "\u0301", "\u2800 \u3164", "\u200e\u200f", "\ufeff", "\U000e0100", "\U0001d159", "\xad",
    "\ufff0", "\ufff8", "\U000e0080", "\U000e0fff",
    # What turns a line around, or hides a text in it.
    "a\u202eb", "a\u202ab", "a\u2066b\u2069", "a\u206fb", "Ada\U000e0041\U000e0064\U000e0061", "\U000e0061",
    "\U000e0001a",     "\U0001f3f4\U000e0067", "a\U000e007f",
    # Controls, noncharacters, private use, half a surrogate.
    "a\nb", "a\0b", "a\x1b[31m", "a\x7fb", "a\x85b", "a\u2028b", "a\ufdd0b", "a\ufffeb", "a\U0001fffeb", "a\U0010ffffb",
    "a\ue000b", "a\U000f0000b", "a\ud800b",
    # A tower of marks.
    "Z" + "\u0335" * 9, "Z\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309a", "a" + "\u20dd" * 12,
    # Too long, in characters as they are stored.
    "x" * (LONGEST + 1), "x" * 60_000, "\u200b" * 60_000, " " * 60_000, "a" + "\u0301" * 5000,
]  # fmt: skip


@pytest.mark.parametrize(("typed", "stored"), ACCEPTED)
def test_accepted(typed: str, stored: str) -> None:
    assert names.clean(typed) == stored
    assert names.fault(stored) is None
    assert names.clean(stored) == stored


@pytest.mark.parametrize("typed", REFUSED)
def test_refused(typed: str) -> None:
    assert names.fault(names.clean(typed)) is not None


def test_the_new_emoji_are_unknown_to_this_python() -> None:
    """Else the rows above show nothing: take newer ones."""
    assert any(unicodedata.category(emoji) == "Cn" for emoji in NEW_EMOJI)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Ada", "Ada"),
        (f"Ada {NEW_EMOJI[0]}", f"Ada {NEW_EMOJI[0]}"),
        ("Ada\u202e\n\0 L", "Ada L"),
        ("A" * 300, "A" * LONGEST),
        ("Ada\U000e0041", "Ada"),
        ("\u200b\u3164", ""),
        ("Z" + "\u0335" * 20, ""),
        ("", ""),
    ],
)
def test_of_a_name_that_somebody_else_accepted_all_is_kept_that_can_be(given: str, kept: str) -> None:
    assert names.taken_over(given) == kept


@pytest.mark.django_db
class TestThroughTheDoors:
    def test_registering(self, public):
        for number, (typed, stored) in enumerate(ACCEPTED):
            email = f"ada{number}@example.com"
            answer = post(public, "register", email=email, password=PASSWORD, display_name=typed)
            assert answer.status_code in {202, 429}, typed
            if answer.status_code == 202:
                assert User.objects.get(email=email).display_name == stored

    @pytest.mark.parametrize("typed", ["\u200b", "\u3164", "a\u202eb", "\xa0"])
    def test_changing_it(self, public, make_user, access_token, typed):
        ada = make_user("ada@example.com", display_name="Ada")
        client = public.with_token(access_token(ada))
        answer = client.patch("/v1/auth/me", {"display_name": typed})
        assert outcome(answer) == (400, "validation_error")
        assert [fault["code"] for fault in answer.json()["errors"]] == ["invalid_text"]
        ada.refresh_from_db()
        assert ada.display_name == "Ada"
        assert client.patch("/v1/auth/me", {"display_name": ""}).status_code == 200
