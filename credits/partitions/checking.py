"""Prove before switching that the copy equals the original, row by row, and adds up as a ledger."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from credits.ledger import verify
from credits.models import UserCredit
from credits.partitions import copying
from credits.partitions.copying import Work
from credits.partitions.patience import patiently
from credits.statements import row, rows, run, value

ROWS_AT_A_TIME = 50_000
USERS_AT_A_TIME = 200
LAST = {int: 2**63 - 1, UUID: UUID(int=2**128 - 1)}

# Both tables in one snapshot. A row that differs but was noted is still to be copied; all others must be equal.
COMPARE = """
WITH old AS MATERIALIZED (
    SELECT {columns} FROM {source} WHERE (id, holder_id) > (%s, %s) AND (id, holder_id) <= (%s, %s)
), new AS MATERIALIZED (
    SELECT {columns} FROM {beside} WHERE (id, holder_id) > (%s, %s) AND (id, holder_id) <= (%s, %s)
)
SELECT count(old.id), count(new.id), count(*) FILTER (
    WHERE old IS DISTINCT FROM new
        AND NOT EXISTS (SELECT FROM {changes} AS noted
            WHERE noted.id = coalesce(old.id, new.id) AND noted.holder_id = coalesce(old.holder_id, new.holder_id)))
FROM old FULL JOIN new USING (holder_id, id)
"""


class WrongCopy(Exception):
    """The copy differs from the original, or does not add up as a ledger. Nothing was switched."""

    def __init__(self, text: str, findings: list[verify.Finding] | None = None) -> None:
        super().__init__(text)
        self.findings = findings or []


# Compares copied rows by key, except those noted again because they have changed since.
DIFFERENT = """
SELECT count(*) FROM unnest(%s::uuid[], %s::{type}[]) AS copied(holder_id, id)
LEFT JOIN {source} AS old USING (holder_id, id) LEFT JOIN {beside} AS new USING (holder_id, id)
WHERE old IS DISTINCT FROM new
    AND NOT EXISTS (SELECT FROM {changes} AS noted WHERE (noted.holder_id, noted.id) = (copied.holder_id, copied.id))
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """How many rows a part of both tables has, and how many of them differ."""

    rows: int
    copied: int
    different: int


def compare(work: Work) -> Iterator[Compared]:
    """Yield the result for each part, in id order."""
    after = (copying.least(work.source), UUID(int=0))
    for bound in copying.bounds(work, after, at_a_time=ROWS_AT_A_TIME, until=LAST[type(after[0])]):
        yield Compared(*row(work.sql(COMPARE), [*after, *bound] * 2))
        after = bound


@transaction.atomic
def catch_up(work: Work, *, most: int = copying.CHUNK, holder_id: UUID | None = None) -> int:
    """Copy noted rows and compare them. Return how many notes there were. Raises WrongCopy."""
    keys = copying.catch_up(work, most=most, holder_id=holder_id)
    holders, ids = [holder for holder, _ in keys], [one for _, one in keys]
    if keys and value(work.sql(DIFFERENT, type=work.key), [holders, ids]):
        raise WrongCopy(f"Rows of {work.source} written since then differ in its copy.")
    return len(keys)


def verify_copies(works: Sequence[Work]) -> Iterator[tuple[int, list[verify.Finding]]]:
    """Check every user as `verify_ledger` does, with the copies in place of the tables: sums, grants, chains.

    Yield how many users were checked, and what is wrong with them. A copy may lack the latest writes, so a user with a
    finding is checked again under the lock of their balance, after all of their rows are copied.
    """
    after: UUID | None = None
    users = UserCredit.objects.order_by("pk").values_list("pk", flat=True)
    while chunk := list((users.filter(pk__gt=after) if after else users)[:USERS_AT_A_TIME]):
        suspects = {finding.user_id for finding in _findings(works, chunk)}
        yield len(chunk), [found for one in sorted(suspects) for found in patiently(_under_lock(works, one))]
        after = chunk[-1]


def _under_lock(works: Sequence[Work], user_id: UUID) -> Callable[[], list[verify.Finding]]:
    @transaction.atomic
    def look() -> list[verify.Finding]:
        UserCredit.objects.select_for_update(no_key=True).get(pk=user_id)
        for work in works:
            while catch_up(work, holder_id=user_id):
                pass
        return _findings(works, [user_id])

    return look


@transaction.atomic
def _findings(works: Sequence[Work], users: list[UUID]) -> list[verify.Finding]:
    run("SET LOCAL statement_timeout = 0")
    return [verify.Finding(*found) for found in rows(of_copies(verify.FINDINGS, works), {"users": users})]


def of_copies(query: str, works: Sequence[Work]) -> str:
    """Return a query on the ledger with the copies in place of the tables."""
    for work in works:
        query = query.replace(work.source, work.beside)
    return query
