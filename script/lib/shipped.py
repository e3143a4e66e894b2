"""The files of deploy/, with the values that their reader is asked to fill in."""

import re
from collections.abc import Mapping
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def filled(name: str, words: Mapping[str, str]) -> str:
    """Return a file of deploy/ with these words replaced, each of which must occur in it."""
    text = (DEPLOY / name).read_text()
    for word, ours in words.items():
        text, found = re.subn(rf"(?<!\w){re.escape(word)}(?!\w)", ours, text)
        if not found:
            raise LookupError(f"deploy/{name} does not say {word!r} any more")
    return text
