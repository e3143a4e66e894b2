"""Find users by any part of the address or name, as people type it, through an index (models/users.py)."""

import re
import uuid

from django.db.models import Q, QuerySet, TextField, Value
from django.db.models.functions import Cast

from accounts.kit import email_address
from accounts.models import User
from accounts.models.users import SearchParts

HELP = "Part of an address or name, or an id"
INDEXED = 3  # consecutive letters in each entry of the index
LEAST_OF_AN_ID = 8
MOST_FOUND = 200
MOST_WALKED = 10_000  # newest users to scan before the index is used
MOST_SPELLED = 1_000  # addresses with non-ASCII domains to decode; each takes some 60 us
A_LABEL = "xn--"
# The address within `Ada <ada@example.com>`, `mailto:ada@example.com` and lists of them, as mail programs copy it.
ADDRESS = re.compile(r'[^\s<>"(),:;]+@[^\s<>"(),:;?]+')
NEWEST = ("-created_at", "-id")
NIBBLES = 32


def narrow(users: QuerySet[User], term: str) -> QuerySet[User]:
    """Return the newest users with this start of an id, or part of an address or name, up to the limit."""
    return users.filter(pk__in=ids(term, users))


def ids(term: str, users: QuerySet[User] | None = None) -> list[uuid.UUID]:
    """Return the ids of the newest users found, up to 200, among all users or these."""
    if address := ADDRESS.search(term):
        term = address[0].rstrip(".")
    newest = (User.objects.all() if users is None else users).order_by(*NEWEST)
    # Never both, because no index serves an OR.
    of_id = begins_id(term)
    if of_id is not None and User.objects.filter(of_id).exists():
        return _first(newest.filter(of_id))
    if len(term) < INDEXED:
        return _first(newest.filter(email__startswith=term.lower()))
    found = [*_with_part(newest, term), *_by_stored_spelling(newest, term), *_as_people_read_it(newest, term)]
    return list(dict.fromkeys(found))[:MOST_FOUND]


def _by_stored_spelling(newest: QuerySet[User], term: str) -> list[uuid.UUID]:
    """Find users by the stored, ASCII form of a domain, for whole labels of `münchen.de`."""
    stored = email_address.a_labels(term)
    return _with_part(newest, stored) if stored != term else []


def _as_people_read_it(newest: QuerySet[User], term: str) -> list[uuid.UUID]:
    """Decode the newest non-ASCII addresses, since the stored form of part of a label differs from the label's."""
    if term.isascii():
        return []
    mark = SearchParts(Cast(Value(A_LABEL), TextField()))
    spelled_otherwise = newest.alias(parts=SearchParts("email", "display_name")).filter(
        parts__contains=mark, email__contains=A_LABEL
    )
    rows = spelled_otherwise.values_list("pk", "email")[:MOST_SPELLED]
    return [pk for pk, email in rows if term.casefold() in email_address.shown(str(email)).casefold()]


def _with_part(newest: QuerySet[User], term: str) -> list[uuid.UUID]:
    """Scan the newest users first, where a common part is found soon, then the index of parts for rare ones."""
    by_text = Q(email__icontains=term) | Q(display_name__icontains=term)
    edge = newest.values_list("created_at", flat=True)[MOST_WALKED : MOST_WALKED + 1].first()
    found = _first(newest.filter(by_text, created_at__gte=edge) if edge else newest.filter(by_text))
    if edge is None or len(found) == MOST_FOUND:
        return found
    parts = SearchParts(Cast(Value(term), TextField()))
    return _first(
        newest.alias(parts=SearchParts("email", "display_name")).filter(by_text, parts__contains=parts)
    )


def _first(users: QuerySet[User]) -> list[uuid.UUID]:
    return list(users.values_list("pk", flat=True)[:MOST_FOUND])


def begins_id(term: str, name: str = "pk") -> Q | None:
    """Return a condition that the UUID in column `name` starts with the term, which any index on it serves.

    Return None for a term that is not at least 8 digits of a UUID.
    """
    digits = term.replace("-", "").lower()
    if not LEAST_OF_AN_ID <= len(digits) <= NIBBLES or set(digits) - set("0123456789abcdef"):
        return None
    least, greatest = digits.ljust(NIBBLES, "0"), digits.ljust(NIBBLES, "f")
    return Q((f"{name}__gte", uuid.UUID(least)), (f"{name}__lte", uuid.UUID(greatest)))
