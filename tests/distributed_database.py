"""The tests of credits on a ledger that is distributed: LEDGER_TEST_DATABASE_URL names the database, which they empty.

It is one of its own on a PostgreSQL with the Citus extension, made there, its servers added, with the roles auth_owner
and auth_app on each: `LEDGER_TEST_DATABASE_URL=postgresql://postgres@127.0.0.1/ledger script/test -n 0 credits`.
"""

import os

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections

from accounts.upkeep.database_roles import grant_to_serving_role

VARIABLE = "LEDGER_TEST_DATABASE_URL"
SERVING = "auth_app"


def url() -> str | None:
    return os.environ.get(VARIABLE)


def prepare() -> None:
    """Migrate and distribute it, unless that was done. Skip whatever asked where the extension is not installed."""
    from credits.ledger import shards  # once Django is set up

    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        pytest.exit(f"{VARIABLE} names one database: add -n 0.", returncode=4)
    with connection.cursor() as cursor:
        cursor.execute(shards.EXTENSION)
        if not cursor.fetchone()[0]:
            pytest.skip(f"not installed: {VARIABLE} names a PostgreSQL without the Citus extension")
    call_command("migrate", verbosity=0, interactive=False)
    call_command("distribute_ledger", verbosity=0)
    settings.SERVING_ROLE = SERVING
    grant_to_serving_role(connection, role=SERVING)
    connections.close_all()
    shards.is_distributed.cache_clear()
