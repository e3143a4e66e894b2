"""One address, one form: what makes two spellings the same mailbox, and what counts as an address at all."""

import re
import unicodedata

import idna

from accounts.kit.problems import Fault

LONGEST_ADDRESS = 254  # RFC 5321, 4.5.3.1.3
LONGEST_LOCAL_PART = 64  # octets: RFC 5321, 4.5.3.1.1

_ATOM = re.compile(r"[0-9a-z!#$%&'*+/=?^_`{|}~-]+")
# RFC 2047: what sends the mail would decode it, and write to another mailbox than the one that is stored.
_ENCODED_WORD = re.compile(r"=\?.*\?=")
# Marks and letters that show nothing (Unicode, Default_Ignorable_Code_Point): two addresses that look the same.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_LABEL = re.compile(r"[0-9a-z]([0-9a-z-]{0,61}[0-9a-z])?")
_CATEGORIES_OF_WORDS = frozenset("LMN")  # Unicode letters, marks and numbers


class InvalidEmail(ValueError):
    """The text is not an e-mail address that we would write to."""


def normalize(text: str) -> str:
    """The stored form: trimmed, NFKC, case-folded, the domain in IDNA. Dots and tags are kept (RFC 5321, 2.3.11)."""
    if len(text) > LONGEST_ADDRESS:
        return text  # no address, and too long to spend work on
    folded = unicodedata.normalize("NFKC", text.strip(" ")).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    local, at, domain = folded.rpartition("@")
    if not at:
        return folded
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except (idna.IDNAError, UnicodeError):
        return folded


def parse(text: str) -> str:
    """The stored form of a well-formed address. Raises InvalidEmail.

    Narrower than RFC 5322: no quoted local part, no address literal, no comment, a domain of two labels at least. So
    nothing that passes can carry a second recipient or a header (CR, LF, NUL, comma, space).
    """
    address = normalize(text)
    local, _, domain = address.rpartition("@")
    if len(address) > LONGEST_ADDRESS or len(local.encode()) > LONGEST_LOCAL_PART:
        raise InvalidEmail
    labels = domain.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or not all(map(_is_label, labels)):
        raise InvalidEmail
    if (
        not all(_is_atom(atom) for atom in local.split("."))
        or _ENCODED_WORD.search(local)
        or _UNSEEN.search(local)
    ):
        raise InvalidEmail
    return address


def faults(text: str, *, field: str = "email") -> list[Fault]:
    """The same question, for a `validation_error`."""
    try:
        parse(text)
    except InvalidEmail:
        return [(field, "invalid_email", "This is not an e-mail address.")]
    return []


def _is_label(text: str) -> bool:
    try:
        return _LABEL.fullmatch(text) is not None and bool(
            idna.decode(text) if text.startswith("xn--") else text
        )
    except idna.IDNAError:
        return False


def _is_atom(text: str) -> bool:
    ascii_part = "".join(character for character in text if character.isascii())
    rest = [character for character in text if not character.isascii()]
    if any(unicodedata.category(character)[0] not in _CATEGORIES_OF_WORDS for character in rest):
        return False
    return bool(text) and (not ascii_part or _ATOM.fullmatch(ascii_part) is not None)


def mailbox(address: str) -> str:
    """What mails are counted by: one mailbox, whatever tag it is written with, and whatever dots at Gmail."""
    local, _, domain = normalize(address).rpartition("@")
    local = local.partition("+")[0]
    if domain in {"gmail.com", "googlemail.com"}:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def masked(address: str) -> str:
    """Return the address as its owner knows it again and nobody else learns it: a***@e***.com."""
    local, _, domain = address.rpartition("@")
    name, _, top = domain.rpartition(".")
    return f"{local[:1]}***@{name[:1]}***.{top}"
