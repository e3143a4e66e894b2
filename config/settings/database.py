"""Configures PostgreSQL, the only database."""

from config.settings.environment import env, postgres, refuse
from config.settings.service import LISTENER

DATABASE_URL = env.str("DATABASE_URL")
DATABASE_MIGRATE_URL = env.str("DATABASE_MIGRATE_URL") or DATABASE_URL
if not DATABASE_URL:
    raise refuse("DATABASE_URL", "is not set: a postgresql:// URL (script/server starts an embedded one).")

# Statements are prepared on the server and connections kept: +43 % and 5x of the throughput (docs/decisions/0003).
# The time-outs turn a stuck database into a 503 instead of a full thread pool.
_SESSION_OPTIONS = (
    "-c timezone=UTC -c statement_timeout=10s -c lock_timeout=3s -c idle_in_transaction_session_timeout=10s"
)
# A host that is cut off or loses its power says no goodbye. Both ends ask each other every second that they say nothing
# and give up after two: here a thread waits no longer for its answer, there the rows of an open transaction are free
# again before the other hosts' lock_timeout. A slow statement is not concerned: the kernel answers for it.
_SILENCE_MILLISECONDS = 2000
_LOST_CLIENT = (
    f"-c tcp_keepalives_idle=1 -c tcp_keepalives_interval=1 -c tcp_user_timeout={_SILENCE_MILLISECONDS}"
)
# No cursors on the server: behind a pooler that lends a connection for a transaction, the next statement would not find
# them. Whoever walks over many rows does it page by page.
_CONNECTION = {"CONN_MAX_AGE": None, "DISABLE_SERVER_SIDE_CURSORS": True}


def _database(variable: str, url: str, session_options: str) -> dict[str, object]:
    database = postgres(variable, url)
    said = database["OPTIONS"].pop("options", "")
    database["OPTIONS"] = {
        "connect_timeout": 2,  # for each of several: one that swallows packets is not waited for longer
        "keepalives_idle": 1,
        "keepalives_interval": 1,
        "tcp_user_timeout": _SILENCE_MILLISECONDS,
        "application_name": f"auth {LISTENER}",  # in pg_stat_activity and PostgreSQL's log (docs/decisions/0020)
        "server_side_binding": True,
        "prepare_threshold": 5,
        "options": f"{session_options} {_LOST_CLIENT} {said}".strip(),  # of two words on one setting the last holds
        **database["OPTIONS"],
    }
    return {**database, **_CONNECTION}


DATABASES = {"default": _database("DATABASE_URL", DATABASE_URL, _SESSION_OPTIONS)}
# The role that owns the tables. Only `manage.py migrate` connects with it.
MIGRATION_DATABASE = _database(
    "DATABASE_MIGRATE_URL", DATABASE_MIGRATE_URL, "-c timezone=UTC -c lock_timeout=3s"
)
# The role that serves gets its privileges at each migrate (accounts/upkeep/database_roles.py): rows, and no DDL.
SERVING_ROLE = str(DATABASES["default"]["USER"])
APPEND_ONLY_TABLES = ["credits_credittransaction"]
READ_ONLY_TABLES = ["django_migrations"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATION_MODULES = {"djstripe": "billing.djstripe_migrations"}
