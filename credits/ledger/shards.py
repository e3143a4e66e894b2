"""Tell whether the ledger is distributed over several servers (credits/distribution.py).

What takes many holders at once on one server is then split by holder.
"""

from functools import cache

from django.db import connection

TABLE = "credits_usercredit"
EXTENSION = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"
DISTRIBUTED = (
    "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = %s::regclass AND partmethod = 'h')"
)


@cache
def is_distributed() -> bool:
    """Return the answer of the first time in this process: nobody serves while the ledger is being distributed."""
    with connection.cursor() as cursor:
        cursor.execute(EXTENSION)
        if not cursor.fetchone()[0]:
            return False
        cursor.execute(DISTRIBUTED, [TABLE])
        return bool(cursor.fetchone()[0])
