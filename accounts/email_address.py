"""One address, one form: what makes two spellings the same mailbox, and what counts as an address at all."""

import unicodedata

import idna


def normalize(text: str) -> str:
    """The stored form: trimmed, NFKC, case-folded, the domain in IDNA. Dots and tags are kept (RFC 5321, 2.3.11)."""
    folded = unicodedata.normalize("NFKC", text.strip()).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    local, at, domain = folded.rpartition("@")
    if not at:
        return folded
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return folded
