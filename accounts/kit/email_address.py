"""One form for each address: which spellings are the same mailbox, and what is accepted as an address.

Nothing is folded that may distinguish two mailboxes: in the local part only ASCII capitals (RFC 5321, 2.3.11), in the
domain what IDNA 2008 itself maps (UTS 46, non-transitional). `straße.de` and `strasse.de` have two owners.
"""

import re
import unicodedata

import idna

from accounts.kit.problems import Fault

LONGEST_ADDRESS = 254  # RFC 5321, 4.5.3.1.3
LONGEST_LOCAL_PART = 64  # octets: RFC 5321, 4.5.3.1.1
LONGEST_TYPED = 2 * LONGEST_ADDRESS  # including what is trimmed; anything longer is not processed

_SMALL = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_ATOM = re.compile(r"[0-9a-z!#$%&'*+/=?^_`{|}~-]+")
# RFC 2047: the mail library would decode it, and write to a mailbox other than the stored one.
_ENCODED_WORD = re.compile(r"=\?.*\?=")
_LABEL = re.compile(r"[0-9a-z]([0-9a-z-]{0,61}[0-9a-z])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # the last label of an IPv4 address, as parsed by resolvers
# Results of older versions' folding: ss may have been typed as \u00df, and \u03c3 as \u03c2.
_FOLDED = re.compile("ss|\u03c3")


class InvalidEmail(ValueError):
    """The text is not an email address that we would write to."""

    code, detail = "invalid_email", "This is not a valid email address."


class UnsupportedEmail(InvalidEmail):
    """The address may be valid, but our mails would not reach it: that takes SMTPUTF8 (RFC 6531)."""

    code = "email_not_supported"
    detail = "Addresses with letters other than a to z before the @ are not supported."


def normalize(text: str) -> str:
    """Return the stored form: trimmed, ASCII in lower case, the domain in IDNA. Dots and tags are kept.

    A text that is not an address becomes something that no user has.
    """
    if len(text) > LONGEST_TYPED:
        return text
    address = _trimmed(text).translate(_SMALL)
    local, at, domain = address.rpartition("@")
    if not at or len(address) > LONGEST_ADDRESS:
        return address
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except (idna.IDNAError, UnicodeError):
        return address


def _trimmed(text: str) -> str:
    """Return the text without surrounding white space and invisible marks (Cf), which pasting brings along."""
    begin, end = 0, len(text)
    while begin < end and _is_blank(text[begin]):
        begin += 1
    while begin < end and _is_blank(text[end - 1]):
        end -= 1
    return text[begin:end]


def _is_blank(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"


def parse(text: str) -> str:
    """Return the stored form of a valid address. Raise InvalidEmail or UnsupportedEmail.

    This is narrower than RFC 5322: no quoted local part, no address literal, no comment, and at least two domain
    labels. So no accepted address can carry a second recipient or a header (CR, LF, NUL, comma, space).
    """
    address = normalize(text)
    local, _, domain = address.rpartition("@")
    if len(address) > LONGEST_ADDRESS or len(local.encode(errors="replace")) > LONGEST_LOCAL_PART:
        raise InvalidEmail
    labels = domain.split(".")
    if len(labels) < 2 or _NUMBER.fullmatch(labels[-1]) or not all(map(_is_label, labels)):
        raise InvalidEmail
    if not local.isascii():
        raise UnsupportedEmail
    if not all(_ATOM.fullmatch(atom) for atom in local.split(".")) or _ENCODED_WORD.search(local):
        raise InvalidEmail
    return address


def faults(text: str, *, field: str = "email") -> list[Fault]:
    """Return the faults of the text for a `validation_error`; an empty list if it is a valid address."""
    try:
        parse(text)
    except InvalidEmail as error:
        return [(field, error.code, error.detail)]
    return []


def _is_label(text: str) -> bool:
    try:
        return _LABEL.fullmatch(text) is not None and bool(
            idna.decode(text) if text.startswith("xn--") else text
        )
    except idna.IDNAError:
        return False


def shown(address: str) -> str:
    """Return the readable form and, if it differs, the stored form after it, because letters can look alike."""
    local, at, domain = address.rpartition("@")
    spelled = ".".join(_spelled(label) for label in domain.split("."))
    return address if spelled == domain else f"{local}{at}{spelled} ({domain})"


def _spelled(label: str) -> str:
    try:
        return idna.decode(label) if label.startswith("xn--") else label
    except idna.IDNAError:
        return label


def a_labels(text: str) -> str:
    """Return a part of an address with each complete label in its stored form: `@m\u00fcnchen` as `@xn--mnchen-3ya`."""
    return "".join(map(_a_label, re.split(r"([@.])", text)))


def _a_label(text: str) -> str:
    try:
        return text if text.isascii() else idna.encode(text, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return text


def is_ambiguous(stored: str) -> bool:
    """Return whether an address stored by a version before 2026-11-28 may have been typed differently.

    That version folded case before anything else: `stra\u00dfe.de` became `strasse.de`, which is someone else's.
    """
    local, _, domain = stored.rpartition("@")
    labels = [local, *map(_spelled, domain.split("."))]
    return not local.isascii() or any(_FOLDED.search(label) for label in labels)


def mailbox(address: str) -> str:
    """Return the mailbox by which mails are counted, without a tag and, at Gmail, without dots."""
    local, _, domain = normalize(address).rpartition("@")
    local = local.partition("+")[0]
    if domain in {"gmail.com", "googlemail.com"}:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def masked(address: str) -> str:
    """Return the address in a form that its owner recognises and nobody else can read: a***@e***.com."""
    local, _, domain = address.rpartition("@")
    name, _, top = domain.rpartition(".")
    return f"{local[:1]}***@{name[:1]}***.{top}"
