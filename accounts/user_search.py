"""Finding users by any part of the address or name: what people type, answered from an index (models/users.py)."""

import uuid

from django.db.models import Q, QuerySet, TextField, Value
from django.db.models.functions import Cast

from accounts.models import User
from accounts.models.users import SearchParts

HELP = "Any part of the address or the name, of 3 letters or more; the beginning of an address; 8 digits of an id"
INDEXED = 3  # letters of which the index knows where they stand
LEAST_OF_AN_ID = 8
MOST_FOUND = 200
NIBBLES = 32


def narrow(users: QuerySet[User], term: str) -> QuerySet[User]:
    """Those with the beginning of the id, or a part of the address or name. Never both: no index answers an OR."""
    of_id = _by_id(term)
    if of_id is not None and User.objects.filter(of_id).exists():
        return users.filter(of_id)
    if len(term) < INDEXED:
        return users.filter(email__startswith=term.lower())
    parts = SearchParts(Cast(Value(term), TextField()))
    by_text = Q(email__icontains=term) | Q(display_name__icontains=term)
    return users.alias(parts=SearchParts("email", "display_name")).filter(by_text, parts__contains=parts)


def ids(term: str) -> list[uuid.UUID]:
    """Of the first so many, to narrow lists of what belongs to users."""
    return list(narrow(User.objects.all(), term).values_list("pk", flat=True)[:MOST_FOUND])


def _by_id(term: str) -> Q | None:
    """Ids between the least and the greatest that begin so: the primary key finds them."""
    digits = term.replace("-", "").lower()
    if not LEAST_OF_AN_ID <= len(digits) <= NIBBLES or set(digits) - set("0123456789abcdef"):
        return None
    least, greatest = digits.ljust(NIBBLES, "0"), digits.ljust(NIBBLES, "f")
    return Q(pk__gte=uuid.UUID(least), pk__lte=uuid.UUID(greatest))
