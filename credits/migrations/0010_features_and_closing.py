"""What a use bought, in the journal, under a chain that says by which version a row is covered; and balances that know
themselves whom they serve.

Rows that are there keep their hashes: without a version they are proved as they were written. Every user gets a balance
row, and those of the erased are closed. The version before goes on serving, and writes rows of its own kind.
"""

from typing import Any
from uuid import UUID

from django.db import migrations, models

from accounts.kit.at_once import AtOnce
from accounts.kit.repeatable import AddField

USERS_AT_A_TIME = 5000

HASHES = """
-- Of a row with a version: what it bought is among its texts. Only as volatile as what it calls is it inlined.
CREATE OR REPLACE FUNCTION credits_text_digest(
    salt bytea, description text, reference text, metadata jsonb, feature text, quantity bigint
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN salt IS NOT NULL THEN sha256(salt || convert_to(
        jsonb_build_array(description, reference, metadata, feature, quantity)::text, 'UTF8'))
    END
$$;

-- A row without a version is covered as before there were any.
CREATE OR REPLACE FUNCTION credits_link(
    id uuid, holder_id uuid, at timestamptz, type text, amount bigint, balance bigint, held bigint,
    lots jsonb, service text, key text, digest bytea, text_digest bytea, refund_of uuid, hold uuid,
    version smallint, unit_price bigint
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN version IS NULL THEN credits_link(
        id, holder_id, at, type, amount, balance, held, lots, service, key, digest, text_digest, refund_of, hold)
    ELSE convert_to(jsonb_build_array(
        version, id, holder_id, (extract(epoch FROM at) * 1000000)::bigint, type, amount, balance, held,
        lots, service, key, encode(digest, 'hex'), encode(text_digest, 'hex'), refund_of, hold, unit_price
    )::text, 'UTF8') END
$$;
"""

DROP_HASHES = """
DROP FUNCTION credits_link(uuid, uuid, timestamptz, text, bigint, bigint, bigint, jsonb, text, text, bytea, bytea, uuid,
    uuid, smallint, bigint);
DROP FUNCTION credits_text_digest(bytea, text, text, jsonb, text, bigint);
"""

ONLY_ERASURE = """
CREATE OR REPLACE FUNCTION credits_only_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE expected credits_credittransaction := OLD;
BEGIN
    expected.description := NULL;
    expected.reference := NULL;
    expected.metadata := NULL;{texts}
    expected.salt := NULL;
    IF NEW IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'UPDATE of % is refused: the ledger is append-only', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION credits_erase_texts(erased_user uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE changed bigint;
BEGIN
    UPDATE credits_credittransaction SET description = NULL, reference = NULL, metadata = NULL, {columns}salt = NULL
        WHERE user_id = erased_user AND salt IS NOT NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$;
"""
WITH_FEATURES = ONLY_ERASURE.format(
    texts="\n    expected.feature := NULL;\n    expected.quantity := NULL;",
    columns="feature = NULL, quantity = NULL, ",
)
WITHOUT_FEATURES = ONLY_ERASURE.format(texts="", columns="")

# Who never had anything leaves nothing to prove: such a row goes with its user.
DELETION = """
DROP TRIGGER IF EXISTS credit_no_delete ON credits_usercredit;
CREATE TRIGGER credit_no_delete BEFORE DELETE ON credits_usercredit
    FOR EACH ROW {when} EXECUTE FUNCTION credits_refuse();
"""

# Users in the order of their ids, a transaction for each few thousand.
SETTLE_ACCOUNTS = """
WITH known AS MATERIALIZED (
    SELECT id, status = 'deleted' AS deleted FROM accounts_user WHERE id > %(after)s ORDER BY id LIMIT %(most)s
), opened AS (
    INSERT INTO credits_usercredit ({holder}, balance, held, debt, blocked, open_left, at, hash)
    SELECT id, 0, 0, 0, '{{}}', 0, credits_now() - interval '1 microsecond', '' FROM known WHERE NOT deleted AND NOT EXISTS
        (SELECT FROM credits_usercredit WHERE {holder} = known.id) ORDER BY id
    ON CONFLICT DO NOTHING
), closed AS (
    UPDATE credits_usercredit AS row SET closed_at = credits_now() FROM known
    WHERE row.{holder} = known.id AND known.deleted AND row.closed_at IS NULL
)
SELECT id FROM known ORDER BY id DESC LIMIT 1
"""


def settle_accounts(
    apps: Any, schema_editor: Any, *, holder: str = "user_id", at_a_time: int = USERS_AT_A_TIME
) -> None:
    """Make the balance rows that users lack, and close those of the erased."""
    last: tuple[UUID] | None = (UUID(int=0),)
    with schema_editor.connection.cursor() as cursor:
        while last:
            values = {"after": last[0], "most": at_a_time}
            cursor.execute(SETTLE_ACCOUNTS.format(holder=holder), values)
            last = cursor.fetchone()


class Migration(migrations.Migration):
    atomic = False  # no lock outlives its statement

    dependencies = [("accounts", "0001_initial"), ("credits", "0009_nobody_adjusts_their_own")]

    operations = [
        AddField("usercredit", "closed_at", models.DateTimeField(null=True)),
        AddField("credittransaction", "version", models.SmallIntegerField(null=True)),
        AddField("credittransaction", "unit_price", models.BigIntegerField(null=True)),
        AddField("credittransaction", "feature", models.CharField(max_length=100, null=True)),
        AddField("credittransaction", "quantity", models.BigIntegerField(null=True)),
        migrations.RunSQL(HASHES, DROP_HASHES),
        migrations.RunSQL(WITH_FEATURES, WITHOUT_FEATURES),
        migrations.RunSQL(DELETION.format(when="WHEN (OLD.hash <> '')"), DELETION.format(when="")),
        migrations.RunPython(settle_accounts, migrations.RunPython.noop),
    ]
    operations = [AtOnce(operations[:5]), *operations[5:]]
