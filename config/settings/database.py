"""Configures PostgreSQL, the only database, and the connections to it."""

from config.settings.environment import boolean, choice, env, integer, postgres, refuse
from config.settings.service import LISTENER

DATABASE_URL = env.str("DATABASE_URL")
DATABASE_MIGRATE_URL = env.str("DATABASE_MIGRATE_URL") or DATABASE_URL
if not DATABASE_URL:
    raise refuse(
        "DATABASE_URL",
        "is not set. It must be a postgresql:// URL (script/server starts an embedded server).",
    )

# What lies between the service and PostgreSQL: nothing, or a pooler that lends a connection for a session or a
# transaction. A pooler passes no start-up options on, so the role must have the time-outs (deploy/postgres/roles.sh).
DATABASE_POOL = choice("DATABASE_POOL")
_POOLED = DATABASE_POOL != "none"
DATABASE_PREPARED_STATEMENTS = boolean("DATABASE_PREPARED_STATEMENTS")

# Statements are prepared on the server and connections are kept: +43 % and 5x the throughput (docs/decisions/0003). The
# time-outs turn a stuck database into a 503 instead of a full thread pool.
_SILENCE_MILLISECONDS = 2000
# A host that is cut off or loses power does not say goodbye. Both ends probe each other after every second of silence
# and give up after two: here, a thread waits no longer than that for its answer; there, the rows of an open transaction
# are unlocked before the other hosts' lock_timeout. A slow statement is not affected: the kernel answers the probes.
_LOST_CLIENT = {
    "tcp_keepalives_idle": "1",
    "tcp_keepalives_interval": "1",
    "tcp_user_timeout": str(_SILENCE_MILLISECONDS),
}
# The settings of every session of the serving role: as start-up options, and as settings of the role, which apply
# behind a pooler too (deploy/postgres/roles.sh, accounts/upkeep/session_settings.py).
SESSION_SETTINGS = {
    "timezone": "UTC",
    "statement_timeout": "10s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "10s",
    **_LOST_CLIENT,
}
# No cursors on the server: behind a pooler that lends a connection for a transaction, the next statement would not find
# them. Long scans over rows go page by page.
_CONNECTION = {"CONN_MAX_AGE": None, "DISABLE_SERVER_SIDE_CURSORS": True}


def _database(
    variable: str,
    url: str,
    session: dict[str, str],
    *,
    pooled: bool = False,
    prepared: bool = True,
    kind: str = "read-write",
) -> dict[str, object]:
    database = postgres(variable, url, kind=kind)
    said = database["OPTIONS"].pop("options", "")
    if pooled and said:
        raise refuse(
            variable,
            "contains options, which a pooler (DATABASE_POOL) does not pass on: set them with ALTER ROLE.",
        )
    # If an option is given twice, the last one applies.
    options = f"{' '.join(f'-c {name}={value}' for name, value in session.items())} {said}".strip()
    database["OPTIONS"] = {
        "connect_timeout": 2,  # per server: one that swallows packets is not waited for longer
        "keepalives_idle": 1,
        "keepalives_interval": 1,
        "tcp_user_timeout": _SILENCE_MILLISECONDS,
        "application_name": f"auth {LISTENER}",  # in pg_stat_activity and PostgreSQL's log (docs/decisions/0020)
        "server_side_binding": True,
        "prepare_threshold": 5 if prepared else None,
        **({} if pooled else {"options": options}),
        **database["OPTIONS"],
    }
    return {**database, **_CONNECTION}


DATABASES = {
    "default": _database(
        "DATABASE_URL", DATABASE_URL, SESSION_SETTINGS, pooled=_POOLED, prepared=DATABASE_PREPARED_STATEMENTS
    )
}
# A standby for reads that may be slightly stale: history, exports, verification (accounts/kit/replica.py). Nothing is
# routed to it automatically, and it is optional.
DATABASE_REPLICA_URL = env.str("DATABASE_REPLICA_URL")
DATABASE_REPLICA_LAG = integer("DATABASE_REPLICA_LAG")
if DATABASE_REPLICA_URL:
    DATABASES["replica"] = _database(
        "DATABASE_REPLICA_URL",
        DATABASE_REPLICA_URL,
        SESSION_SETTINGS,
        pooled=_POOLED,
        prepared=DATABASE_PREPARED_STATEMENTS,
        kind="standby",
    )
# The role that owns the tables. Only `manage.py migrate` and similar commands connect with it, and never through a
# pooler, where a session lock would stay with a connection that is lent to others.
_OF_MIGRATIONS = {
    "timezone": "UTC",
    "lock_timeout": "3s",
    "statement_timeout": "0",  # an index takes its time, even if one role both migrates and serves
    "idle_in_transaction_session_timeout": "0",
    **_LOST_CLIENT,
}
MIGRATION_DATABASE = _database("DATABASE_MIGRATE_URL", DATABASE_MIGRATE_URL, _OF_MIGRATIONS)
MIGRATES_THROUGH_POOLER = _POOLED and all(
    MIGRATION_DATABASE[of] == DATABASES["default"][of] for of in ("HOST", "PORT")
)
# The serving role gets its privileges at each migrate (accounts/upkeep/database_roles.py): rows, and no DDL.
SERVING_ROLE = str(DATABASES["default"]["USER"])
APPEND_ONLY_TABLES = ["credits_credittransaction"]
READ_ONLY_TABLES = ["django_migrations"]
LEDGER_PARTITIONS = integer(
    "LEDGER_PARTITIONS"
)  # used only at the first migration (credits/migrations/0017_partitions.py)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATION_MODULES = {"djstripe": "billing.djstripe_migrations"}
