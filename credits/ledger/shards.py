"""Tells whether the ledger is distributed over several servers (credits/distribution.py).

What takes many holders at once on one server is then split by holder.
"""

from functools import cache

from credits.statements import value

TABLE = "credits_usercredit"
EXTENSION = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"
DISTRIBUTED = (
    "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = %s::regclass AND partmethod = 'h')"
)


@cache
def is_distributed() -> bool:
    """Return the answer of the first time in this process: nobody serves while the ledger is being distributed."""
    return bool(value(EXTENSION) and value(DISTRIBUTED, [TABLE]))
