"""The passwords of 12 or more characters that attackers try first. The list is a file, which this module also builds.

    python -m accounts.passwords.common      writes accounts/passwords/common_passwords.txt.gz again

Provenance: (1) every entry of 12 or more characters in the list of 20,000 that Django ships (django.contrib.auth, BSD
licence; Royce Williams' list, https://gist.github.com/roycewilliams/226886fd01572964e1431ac8afc999ce); (2) the ways in
which people stretch a short password to a required length, applied to the 500 most common of that list: a usual ending,
the word two or three times, two common words in a row; (3) keyboard walks and runs of digits.
"""

# ruff: noqa: SIM905  words read better as a line of text

import gzip
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from pathlib import Path

LIST = Path(__file__).with_name("common_passwords.txt.gz")
SHORTEST = 12
LONGEST = 24

_WORDS = 500
_PAIRED_WORDS = 60
_ENDINGS = (
    *"1 12 123 1234 12345 123456 1234567 12345678 123456789 1234567890 ! 1! 12! 123! 1234! !! !!! @123 @1234".split(),
    *"#123 _123 .123 *123 321 4321 01 007 11 111 1111 000 0000 69 99 999 777 666 abc qwerty 123abc".split(),
    *(str(year) for year in range(1980, 2031)),
    *(f"{year}!" for year in range(2015, 2031)),
    *(f"@{year}" for year in range(2015, 2031)),
)
_STARTS = ("123", "1234", "12345", "123456", "my", "the", "iam")
_DEFAULTS = (
    *"password passw0rd p@ssw0rd p@ssword pa$$word pa55word passphrase changeme letmein administrator admin".split(),
    *"welcome secret default temporary testtest qwertyuiop iloveyou superadmin trustno1 monkey dragon football".split(),
    *"baseball sunshine princess login guest".split(),
)
_ROWS = (
    *"1234567890 qwertyuiop asdfghjkl zxcvbnm azertyuiop qsdfghjklm qwertzuiop yxcvbnm".split(),
    *"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p qazwsxedcrfvtgbyhnujmikolp 1q2w3e4r5t6y7u8i9o0p".split(),
    *"q1w2e3r4t5y6u7i8o9p0 abcdefghijklmnopqrstuvwxyz a1b2c3d4e5f6g7h8i9 zaq12wsxcde34rfvbgt56yhn".split(),
    *"qwertyuiopasdfghjklzxcvbnm 1234567890qwertyuiop 12345678901234567890 abcdefghijkl1234567890".split(),
    *"112233445566778899 123123123123 147258369147258369 159753159753159753 qweasdzxcqweasdzxc".split(),
)


@cache
def load() -> frozenset[str]:
    """Return the list, case-folded; read once per process."""
    return frozenset(gzip.decompress(LIST.read_bytes()).decode().split("\n"))


def generate(common: Iterable[str]) -> set[str]:
    """Build the list from Django's, which is sorted by frequency."""
    words = list(dict.fromkeys(word.strip().casefold() for word in common))
    candidates = {*words, *_stretched(words[:_WORDS]), *_stretched(_DEFAULTS), *_paired(words), *_walks()}
    return {text for text in candidates if SHORTEST <= len(text) <= LONGEST and text.isprintable()}


def _stretched(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        yield from (word + ending for ending in _ENDINGS)
        yield from (start + word for start in _STARTS)
        yield from (word * 2, word * 3, word + word[::-1])


def _paired(words: list[str]) -> Iterator[str]:
    for first, second in product((*_DEFAULTS, *words[:_PAIRED_WORDS]), repeat=2):
        yield first + second
        yield f"{first}{second}123"


def _walks() -> Iterator[str]:
    """Yield every stretch of a row, both ways, and its start followed by a usual ending or another row's start."""
    for row in (*_ROWS, *(row[::-1] for row in _ROWS)):
        for start, length in product(range(len(row)), range(SHORTEST, LONGEST + 1)):
            yield row[start : start + length]
        for length, ending in product(range(4, 15), _ENDINGS):
            yield row[:length] + ending
        for length, other in product(range(4, 11), _ROWS):
            yield from (row[:length] + other[:tail] for tail in range(3, 11))


def _write() -> None:
    from django.contrib.auth import password_validation

    source = Path(password_validation.__file__).with_name("common-passwords.txt.gz")
    entries = generate(gzip.decompress(source.read_bytes()).decode().splitlines())
    LIST.write_bytes(gzip.compress("\n".join(sorted(entries)).encode(), mtime=0))


if __name__ == "__main__":
    _write()
