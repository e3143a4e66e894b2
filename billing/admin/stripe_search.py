"""Find rows by the beginning of a Stripe id, as people paste them, with the help of `varchar_pattern_ops` indexes."""

import re
import uuid
from collections.abc import Iterable
from typing import Any

from django.db.models import Q, QuerySet

from billing.models import CustomerLink, FormerCustomer

FORM = re.compile(r"[a-z]{2,7}_\w+", re.ASCII)
MOST_FOUND = 200


def narrow(rows: QuerySet[Any], columns: Iterable[str], term: str) -> QuerySet[Any]:
    return rows.filter(pk__in=keys(rows, columns, term))


def keys(rows: QuerySet[Any], columns: Iterable[str], term: str) -> list[Any]:
    """Return the keys of up to 200 rows in which one of the columns begins with `term`. Each column has an index."""
    if not FORM.fullmatch(term):
        return []
    plain = rows.order_by()
    # One query per column, so that its index answers it. The index leaves out empty values, so the query does too.
    found = (plain.filter(Q((f"{name}__startswith", term)) & ~Q((name, ""))) for name in columns)
    return [key for some in found for key in some.values_list("pk", flat=True)[:MOST_FOUND]][:MOST_FOUND]


def users(term: str) -> list[uuid.UUID]:
    """Return the users with a Stripe customer, current or former, whose id begins with `term`."""
    if not term.startswith("cus_"):
        return []
    linked = CustomerLink.objects.filter(customer__startswith=term).values_list("user_id", flat=True)
    former = FormerCustomer.objects.filter(customer__startswith=term).values_list("user_id", flat=True)
    return [*linked[:MOST_FOUND], *former[:MOST_FOUND]]
