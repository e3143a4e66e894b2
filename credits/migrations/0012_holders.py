"""The ledger belongs to holders: `user_id` is `holder_id`, in a moment, and the version before cannot serve any more.

Stop it before this migration, and start the new one after it (docs/operations/deploy.md). Users who registered or
were erased since migration 0010 are looked after once more.
"""

from functools import partial
from importlib import import_module
from typing import Any

import django.db.models.deletion
from django.db import migrations, models, transaction
from django.db.models import F, Q

from accounts.kit.at_once import AtOnce
from credits.models import KeyHash

settle_accounts = import_module("credits.migrations.0010_features_and_closing").settle_accounts

TABLES = ("credits_usercredit", "credits_creditlot", "credits_credittransaction")
RENAME = "ALTER TABLE {} RENAME COLUMN {} TO {}"

FUNCTIONS = (
    """
CREATE OR REPLACE FUNCTION credits_open_grant_holds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.open_left > (SELECT issued - expired - charged_back FROM credits_creditlot
            WHERE holder_id = NEW.holder_id AND id = NEW.open_lot) THEN
        RAISE EXCEPTION 'the open grant of % would hold more than it can', NEW.holder_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_open_within_its_issue', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE OR REPLACE FUNCTION credits_erase_texts(erased_user uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE changed bigint;
BEGIN
    UPDATE credits_credittransaction SET description = NULL, reference = NULL, metadata = NULL, feature = NULL,
        quantity = NULL, salt = NULL
        WHERE holder_id = erased_user AND salt IS NOT NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$
""",
)

# What the indexes of migration 0011 take the place of, as it was.
REPLACED = {
    "transaction_key_once": """UNIQUE INDEX transaction_key_once ON credits_credittransaction (user_id, service, key)
        WHERE key IS NOT NULL""",
    "transaction_by_service": """INDEX transaction_by_service ON credits_credittransaction
        (service, at DESC, id DESC)""",
    "lot_hold_public_id": """UNIQUE INDEX lot_hold_public_id ON credits_creditlot (transaction_id)
        WHERE kind = 'hold'""",
    "lot_burn_order": """INDEX lot_burn_order ON credits_creditlot (user_id, priority, expires_at, id)
        WHERE kind = 'grant' AND remaining > 0""",
    "lot_by_user": "INDEX lot_by_user ON credits_creditlot (user_id, id DESC)",
}


@transaction.atomic
def rename(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(RENAME.format(table, "user_id", "holder_id"))
        for function in FUNCTIONS:
            cursor.execute(function)
        for name in REPLACED:
            cursor.execute(f"DROP INDEX {name}")


@transaction.atomic
def rename_back(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(RENAME.format(table, "holder_id", "user_id"))
        for function in FUNCTIONS:
            cursor.execute(function.replace("holder_id", "user_id"))
        for definition in REPLACED.values():
            cursor.execute(f"CREATE {definition}")


STATE = [
    migrations.RemoveIndex("usercredit", "credit_in_debt"),
    migrations.RemoveField("usercredit", "user"),
    migrations.AddField("usercredit", "holder_id", models.UUIDField(primary_key=True, serialize=False)),
    migrations.AddIndex(
        "usercredit",
        models.Index(condition=Q(debt__gt=0), fields=["-holder_id"], name="credit_in_debt"),
    ),
    migrations.RemoveConstraint("creditlot", "lot_hold_public_id"),
    migrations.RemoveIndex("creditlot", "lot_burn_order"),
    migrations.RemoveIndex("creditlot", "lot_due"),
    migrations.RemoveIndex("creditlot", "lot_by_user"),
    migrations.RemoveField("creditlot", "user"),
    migrations.RemoveField("creditlot", "transaction"),
    migrations.AddField("creditlot", "holder_id", models.UUIDField()),
    migrations.AddField("creditlot", "transaction_id", models.UUIDField()),
    migrations.RemoveConstraint("credittransaction", "transaction_one_at_a_time"),
    migrations.RemoveConstraint("credittransaction", "transaction_key_once"),
    migrations.RemoveIndex("credittransaction", "transaction_by_service"),
    migrations.RemoveField("credittransaction", "user"),
    migrations.AddField("credittransaction", "holder_id", models.UUIDField()),
    migrations.AddField(
        "creditlot",
        "transaction",
        models.ForeignObject(
            from_fields=("holder_id", "transaction_id"),
            on_delete=django.db.models.deletion.DO_NOTHING,
            related_name="lots_made",
            to="credits.credittransaction",
            to_fields=("holder_id", "id"),
        ),
    ),
    migrations.AddConstraint(
        "creditlot", models.UniqueConstraint(fields=["holder_id", "id"], name="lot_of_holder")
    ),
    migrations.AddConstraint(
        "creditlot",
        models.UniqueConstraint(
            condition=Q(kind="hold"), fields=["holder_id", "transaction_id"], name="lot_of_hold"
        ),
    ),
    migrations.AddIndex(
        "creditlot",
        models.Index(
            condition=Q(kind="grant", remaining__gt=0),
            fields=["holder_id", "priority", "expires_at", "created_at", "id"],
            name="lot_burns",
        ),
    ),
    migrations.AddIndex(
        "creditlot",
        models.Index(condition=Q(remaining__gt=0), fields=["holder_id", "expires_at"], name="lot_due"),
    ),
    migrations.AddIndex("creditlot", models.Index(fields=["id"], name="lot_by_id")),
    migrations.AddConstraint(
        "credittransaction", models.UniqueConstraint(fields=["id", "holder_id"], name="transaction_of_holder")
    ),
    migrations.AddConstraint(
        "credittransaction",
        models.UniqueConstraint(fields=["holder_id", "at"], name="transaction_one_at_a_time"),
    ),
    migrations.AddConstraint(
        "credittransaction",
        models.UniqueConstraint(
            F("holder_id"),
            KeyHash("service", "key"),
            condition=Q(key__isnull=False),
            name="transaction_once_by_key",
        ),
    ),
    migrations.AddIndex(
        "credittransaction", models.Index(fields=["service", "id"], name="transaction_of_service")
    ),
]


class Migration(migrations.Migration):
    atomic = False  # the rename has a transaction of its own

    dependencies = [("credits", "0011_beside_the_version_before")]

    operations = [
        migrations.SeparateDatabaseAndState([migrations.RunPython(rename, rename_back)], [AtOnce(STATE)]),
        migrations.RunPython(
            partial(settle_accounts, holder="holder_id", at_a_time=10**6),  # nobody is served while it runs
            migrations.RunPython.noop,
        ),
    ]
