"""Codes for people: printed in groups, and read in one form, whatever the keyboard and whatever is pasted with them.

Nothing is guessed: spaces and dashes are dropped, digits of any script are digits, and the rest must be correct.
"""

import unicodedata

LONGEST = 64  # including what is dropped
_SMALL = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DROPPED = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Pd", "Pc"})
# Letters mistaken for digits on paper, in codes that have no letters.
_DIGITS = str.maketrans("OoIl|", "00111")


def digits(text: str) -> str:
    """Return the digits of an app's or a recovery code in ASCII. Anything else is kept, and makes the code wrong."""
    return "".join(map(_ascii_digit, _plain(text))).translate(_DIGITS)


def letters(text: str) -> str:
    """Return the letters of a mailed code in upper case."""
    return _plain(text).translate(_SMALL)


def grouped(code: str, size: int = 4) -> str:
    """Return a code as printed, `LBRF-HXBN`, since people read it aloud and type it in parts."""
    return "-".join(code[start : start + size] for start in range(0, len(code), size))


def _plain(text: str) -> str:
    if len(text) > LONGEST:
        return ""
    kept = unicodedata.normalize("NFKC", text)
    return "".join(one for one in kept if unicodedata.category(one) not in _DROPPED and one != "\u2212")


def _ascii_digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)
