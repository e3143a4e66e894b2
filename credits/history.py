"""Read pages of the journal from a standby, if it has all of their rows and none can be added to them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.kit import replica
from credits.identifiers import SLACK, time_of
from credits.models import CreditTransaction

Rows = QuerySet[CreditTransaction]


def behind(page: Rows, *, holder: UUID | None, place: Any) -> list[CreditTransaction]:
    """Return the rows of a page that starts after `place`: a time for a holder's rows, an id for a service's.

    A holder's rows are written in the order of their times, each after the last. So a reader that has the row of that
    time, or a later one, has every row before it for good, however late it was posted. A service's ids follow time
    only roughly.
    """
    if holder is not None:
        return replica.read(lambda alias: _of_holder(page, holder, place, alias))
    settled = datetime.fromtimestamp(time_of(place), UTC) + SLACK
    return replica.read(lambda alias: list(page.using(alias)), older_than=settled)


def _of_holder(page: Rows, holder: UUID, place: datetime, alias: str) -> list[CreditTransaction]:
    if alias == replica.ALIAS:
        written = CreditTransaction.objects.using(alias).filter(holder_id=holder, at__gte=place)
        if not written.exists():
            raise replica.Lacking
    return list(page.using(alias))
