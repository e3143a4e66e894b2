"""The usual use as a function of the database: it locks the balance, judges, and writes, in one call.

It needs no race that ends by an error, keeps its plans where the driver may prepare nothing, and goes to the server that
has the user where the ledger is distributed (docs/decisions/0041-one-way-to-spend.md).
"""

from django.db import migrations

# Each look names the holder, by a value. What may change between two looks is read into a variable: a distributed
# table takes no such function in an UPDATE, and the time must be of after the lock.
USE = """
CREATE FUNCTION credits_use(
    id uuid, holder_id uuid, amount bigint, service text, key text, digest bytea, salt bytea, description text,
    reference text, metadata jsonb, feature text, quantity bigint, unit_price bigint,
    OUT at timestamptz, OUT balance bigint, OUT held bigint
) RETURNS SETOF record LANGUAGE plpgsql ROWS 1 AS $$
#variable_conflict use_column
DECLARE
    account credits_usercredit;
    now timestamptz;
    moves jsonb;
    texts bytea;
BEGIN
    SELECT * INTO account FROM credits_usercredit AS row WHERE row.holder_id = credits_use.holder_id FOR NO KEY UPDATE;
    now := credits_now();
    IF NOT FOUND OR account.open_left < credits_use.amount OR account.blocked <> '{}' OR account.debt <> 0
        OR account.due_at <= now
        OR account.balance - account.held >= account.alert_below
            AND account.balance - account.held - credits_use.amount < account.alert_below
    THEN
        RETURN;
    END IF;
    PERFORM FROM credits_credittransaction AS seen
        WHERE seen.holder_id = credits_use.holder_id AND seen.key = credits_use.key
            AND credits_key_hash(seen.service, seen.key) = credits_key_hash(credits_use.service, credits_use.key);
    IF FOUND THEN
        RETURN;
    END IF;
    account.balance := account.balance - credits_use.amount;
    account.at := greatest(now, account.at + interval '1 microsecond');
    moves := jsonb_build_array(jsonb_build_array(account.open_lot, -credits_use.amount));
    IF salt IS NOT NULL THEN
        texts := credits_text_digest(salt, description, reference, metadata, feature, quantity);
    END IF;
    account.hash := credits_hash(account.hash, credits_link(credits_use.id, credits_use.holder_id, account.at, 'use',
        -credits_use.amount, account.balance, account.held, moves, credits_use.service, credits_use.key,
        credits_use.digest, texts, NULL, NULL, 2::smallint, credits_use.unit_price));
    UPDATE credits_usercredit AS row SET balance = account.balance, open_left = row.open_left - credits_use.amount,
        at = account.at, hash = account.hash WHERE row.holder_id = credits_use.holder_id;
    INSERT INTO credits_credittransaction
        (id, holder_id, at, type, amount, balance, held, lots, service, key, digest,
         description, reference, metadata, salt, text_digest, hash, version, unit_price, feature, quantity)
    VALUES (credits_use.id, credits_use.holder_id, account.at, 'use', -credits_use.amount, account.balance,
        account.held, moves, credits_use.service, credits_use.key, credits_use.digest, credits_use.description,
        credits_use.reference, credits_use.metadata, credits_use.salt, texts, account.hash, 2, credits_use.unit_price,
        credits_use.feature, credits_use.quantity);
    credits_use.at := account.at;
    credits_use.balance := account.balance;
    credits_use.held := account.held;
    RETURN NEXT;
END $$
"""

DROP = """
DROP FUNCTION credits_use(uuid, uuid, bigint, text, text, bytea, bytea, text, text, jsonb, text, bigint, bigint)
"""


class Migration(migrations.Migration):
    dependencies = [("credits", "0015_budgets")]

    operations = [migrations.RunSQL(USE, DROP)]
