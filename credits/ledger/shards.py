"""Tell whether the ledger is distributed over several servers (credits/distribution.py).

If it is, anything that one server would do for many holders at once is split by holder.
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
    """Return whether it is. Cached per process, since the service is stopped while the ledger is being distributed."""
    return bool(value(EXTENSION) and value(DISTRIBUTED, [TABLE]))
