"""What the ledger by holder needs of the database, made while the version before serves: indexes, primary keys that name
the holder, no foreign keys to accounts, and how the tables are vacuumed.

It may be run again after it failed: what is there stays, and an index that was left half-made is made again. A lock
that stops others is waited for half a second at a time.
"""

import random
import time
from typing import Any

from django.db import OperationalError, migrations
from psycopg.errors import LockNotAvailable

TRIES = 120

KEY_HASH = """
-- What stands for a key in the index by which it counts once. The text is in the row, so nothing is hidden by it; and no
-- secret is in it, since the same key must have the same hash for as long as the row lives. Not in SQL: that would be
-- inlined, and each spend would have the whole expression of the index copied and prepared again.
CREATE OR REPLACE FUNCTION credits_key_hash(service text, key text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN encode(substring(
        sha256(decode(replace(service || chr(10) || key, '\\', '\\\\'), 'escape')) FROM 1 FOR 16), 'hex')::uuid;
END $$
"""

# Rows of the journal come in the order of their ids, so pages of an index that begins with them stay full.
INDEXES = {
    "transaction_of_holder": "UNIQUE INDEX {} ON credits_credittransaction (id, user_id) WITH (fillfactor = 100)",
    "transaction_of_service": "INDEX {} ON credits_credittransaction (service, id) WITH (fillfactor = 100)",
    "transaction_once_by_key": """UNIQUE INDEX {} ON credits_credittransaction
        (user_id, credits_key_hash(service, key)) WHERE key IS NOT NULL""",
    "lot_of_holder": "UNIQUE INDEX {} ON credits_creditlot (user_id, id)",
    "lot_by_id": "INDEX {} ON credits_creditlot (id)",
    "lot_of_hold": "UNIQUE INDEX {} ON credits_creditlot (user_id, transaction_id) WHERE kind = 'hold'",
    "lot_burns": """INDEX {} ON credits_creditlot (user_id, priority, expires_at, created_at, id)
        WHERE kind = 'grant' AND remaining > 0""",
}
PRIMARY_KEYS = {
    "credits_credittransaction": "transaction_of_holder",
    "credits_creditlot": "lot_of_holder",
}
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
CONSTRAINTS = "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = %s"
FOREIGN = """
ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY (user_id) REFERENCES accounts_user (id) DEFERRABLE INITIALLY DEFERRED
"""

# Journal rows are never changed: they are frozen soon after they came, in small steps, instead of all at once when
# transaction ids run out. Balances and lots are changed in place: their dead rows are few at any time.
STORAGE = {
    "credits_credittransaction": """autovacuum_vacuum_insert_threshold = 200000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_freeze_min_age = 0,
        autovacuum_analyze_threshold = 200000, autovacuum_analyze_scale_factor = 0""",
    "credits_usercredit": "autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.1",
    "credits_creditlot": "autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05",
}


class Tables:
    """The statements of a migration, each for itself; in the transaction of a test, in that."""

    def __init__(self, schema_editor: Any) -> None:
        self.connection = schema_editor.connection
        self.cursor = self.connection.cursor()

    def run(self, statement: str) -> None:
        self.cursor.execute(statement)

    def column(self, query: str, *values: object) -> list[Any]:
        return [value for (value,) in self.cursor.execute(query, values).fetchall()]

    def patiently(self, statement: str) -> None:
        """Run a statement that blocks all others for a moment, without making those in its way wait long."""
        if self.connection.in_atomic_block:
            self.run(statement)
            return
        self.run("SET lock_timeout = '500ms'")
        for attempt in range(TRIES):
            try:
                self.run(statement)
                break
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable) or attempt == TRIES - 1:
                    raise
                time.sleep(random.uniform(0.1, 1))  # noqa: S311
        self.run("RESET lock_timeout")

    def add_index(self, name: str, definition: str) -> None:
        if (found := self.column(VALID, name)) == [True] or self._is_key(name):
            return
        word = "" if self.connection.in_atomic_block else "CONCURRENTLY"
        self.run("SET lock_timeout = 0")  # it waits for old transactions, and nobody for it
        if found:
            self.run(f"DROP INDEX {word} {name}")
        self.run(f"CREATE {definition.replace('INDEX {}', f'INDEX {word} {name}')}")
        self.run("RESET lock_timeout")

    def _is_key(self, name: str) -> bool:
        return bool(self.column("SELECT 1 FROM pg_constraint WHERE conname = %s", name))

    def change_key(self, table: str, key: str) -> None:
        names = [name for name in self.column(CONSTRAINTS, table, "p") if name != key]
        for name in names:
            self.patiently(
                f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {key} PRIMARY KEY USING INDEX {key}"
            )

    def drop_foreign_keys(self, table: str) -> None:
        for name in self.column(CONSTRAINTS, table, "f"):
            self.patiently(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


def forwards(apps: Any, schema_editor: Any) -> None:
    tables = Tables(schema_editor)
    tables.run(KEY_HASH)
    for name, definition in INDEXES.items():
        tables.add_index(name, definition)
    for table, key in PRIMARY_KEYS.items():
        tables.change_key(table, key)
    for table in ("credits_usercredit", "credits_creditlot"):
        tables.drop_foreign_keys(table)
    for table, parameters in STORAGE.items():
        tables.patiently(f"ALTER TABLE {table} SET ({parameters})")


def backwards(apps: Any, schema_editor: Any) -> None:
    tables = Tables(schema_editor)
    for table, parameters in STORAGE.items():
        tables.run(
            f"ALTER TABLE {table} RESET ({', '.join(one.split()[0] for one in parameters.split(','))})"
        )
    for table in ("credits_usercredit", "credits_creditlot"):
        tables.run(FOREIGN.format(table, f"{table}_user_id_fk_accounts_user_id"))
    for table, key in PRIMARY_KEYS.items():
        tables.run(f"ALTER TABLE {table} DROP CONSTRAINT {key}, ADD CONSTRAINT {table}_pkey PRIMARY KEY (id)")
    for name in INDEXES.keys() - set(PRIMARY_KEYS.values()):
        tables.run(f"DROP INDEX {name}")
    tables.run("DROP FUNCTION credits_key_hash(text, text)")


class Migration(migrations.Migration):
    atomic = False  # no lock outlives its statement

    dependencies = [("credits", "0010_features_and_closing")]

    operations = [migrations.RunPython(forwards, backwards)]
