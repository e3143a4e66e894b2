"""Check names of people and things: any script and emoji, but nothing that is invisible or reverses a line.

Python's Unicode tables are years behind phones: a code point that they do not know is a new character, not an error.
"""

import re
import unicodedata

OPERATORS = re.compile(r"[a-z][a-z0-9_-]{0,39}")  # names of services, subscriptions and front ends
LONGEST = 100
MOST_COMPOSED = 4  # most characters that normalization composes into one
MOST_MARKS = 8  # per letter; languages need fewer, and more would cover the lines above

# Controls, surrogates, private use, line and paragraph separators.
_UNWANTED = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
# Embeddings, overrides, isolates and digit shapes change how what follows is displayed; direction marks do not.
_TURNING = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x2070))))
# Invisible, and meaningless at the end of a name: zero-width space, direction marks, soft hyphen, word joiners.
_LOOSE = "\u200b\u200e\u200f\u061c\u2060\ufeff\u00ad"
# Letters and symbols that render as nothing, and the code points that Unicode reserves for more of them
# (Default_Ignorable_Code_Point). New characters, which count as visible, are never among these.
_EMPTY = frozenset("\u115f\u1160\u3164\uffa0\u2800\U0001d159").union(
    map(chr, (*range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)))
)
_VISIBLE = frozenset("LNPS")
_MARKS = frozenset({"Mn", "Me"})
# Tags spell out a flag (UTS 51, 1.4.9), and are refused anywhere else because they carry invisible text.
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,8}\U000e007f")
_TAG = re.compile("[\U000e0000-\U000e007f]")


def clean(text: str) -> str:
    """Return the text trimmed and in NFC.

    A text that is too long for that, or would be empty, is returned unchanged, for `fault` to refuse.
    """
    if len(text) > LONGEST * MOST_COMPOSED:
        return text
    trimmed = text.strip()
    while trimmed != (shorter := trimmed.strip(_LOOSE).strip()):
        trimmed = shorter
    return unicodedata.normalize("NFC", trimmed) or text


def fault(text: str) -> tuple[str, str] | None:
    """Return why a cleaned name is refused, as code and detail, or None. The empty text, for no name, is accepted."""
    if len(text) > LONGEST:
        return "too_long", f"Use at most {LONGEST} characters."
    if any(_is_unwanted(character) for character in text) or _TAG.search(_FLAG.sub("", text)):
        return "invalid_text", "Control characters are not accepted."
    if _has_tower(text):
        return "invalid_text", f"Use at most {MOST_MARKS} marks on a letter."
    if text and not any(map(_is_visible, text)):
        return "invalid_text", "Use at least one visible character."
    return None


def taken_over(text: str) -> str:
    """Return what can be kept of a name that another service accepted, such as Google; empty if nothing can."""
    kept = "".join(one for one in text[: LONGEST * MOST_COMPOSED] if not _is_unwanted(one))
    name = clean(_TAG.sub("", kept) if _TAG.search(_FLAG.sub("", kept)) else kept)[:LONGEST].strip()
    return "" if fault(name) else name


def _is_unwanted(character: str) -> bool:
    return (
        unicodedata.category(character) in _UNWANTED or character in _TURNING or _is_noncharacter(character)
    )


def _is_noncharacter(character: str) -> bool:
    """Return whether the code point will never be a character (Unicode, 23.7)."""
    number = ord(character)
    return 0xFDD0 <= number <= 0xFDEF or number & 0xFFFE == 0xFFFE


def _has_tower(text: str) -> bool:
    height = 0
    for character in text:
        height = height + 1 if unicodedata.category(character) in _MARKS else 0
        if height > MOST_MARKS:
            return True
    return False


def _is_visible(character: str) -> bool:
    category = unicodedata.category(character)
    return (category[0] in _VISIBLE or category == "Cn") and character not in _EMPTY
