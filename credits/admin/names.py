"""The users whose rows these are, as people know them."""

from typing import Any

from django.db.models import CharField, OuterRef, QuerySet, Subquery, Value

from accounts.models import User
from credits.ledger import shards


def with_address(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Annotate rows with their user's address, or with none if the rows are on other servers than the users."""
    holder = User.objects.filter(pk=OuterRef("holder_id")).values("email")
    apart = shards.is_distributed()
    address = Value(None, output_field=CharField()) if apart else Subquery(holder[:1])
    named: QuerySet[Any] = rows.annotate(address=address)
    return named
