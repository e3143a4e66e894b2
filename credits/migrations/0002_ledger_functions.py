"""The parts of the ledger that only the database can hold: the clock, the hash chain, and a journal nobody rewrites."""

from django.db import migrations

CLOCK = """
-- The ledger's only clock. Volatile on purpose: a statement that waited for a lock reads the time after the wait.
CREATE FUNCTION credits_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS 'SELECT clock_timestamp()';
"""

HASHES = """
-- What the chain covers of a row's texts: null where there are none.
CREATE FUNCTION credits_text_digest(salt bytea, description text, reference text, metadata jsonb)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN salt IS NOT NULL THEN
        sha256(salt || convert_to(jsonb_build_array(description, reference, metadata)::text, 'UTF8'))
    END
$$;

-- What one row adds to its user's chain: every column but the texts. Times are integer microseconds, since a timestamptz
-- would be rendered in the reader's zone.
CREATE FUNCTION credits_link(
    id uuid, user_id uuid, at timestamptz, type text, amount bigint, balance bigint, held bigint,
    lots jsonb, service text, key text, digest bytea, text_digest bytea, refund_of uuid, hold uuid
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT convert_to(jsonb_build_array(
        id, user_id, (extract(epoch FROM at) * 1000000)::bigint, type, amount, balance, held,
        lots, service, key, encode(digest, 'hex'), encode(text_digest, 'hex'), refund_of, hold
    )::text, 'UTF8')
$$;

-- The hash of a row: of the hash before it, and its link. As an aggregate over rows in order: the hash of each.
CREATE FUNCTION credits_hash(previous bytea, link bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    'SELECT sha256(previous || link)';
CREATE FUNCTION credits_chain_step(state bytea, head bytea, link bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT credits_hash(coalesce(state, head), link)';
CREATE AGGREGATE credits_chain(head bytea, link bytea) (SFUNC = credits_chain_step, STYPE = bytea);
"""

GUARDS = """
CREATE FUNCTION credits_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: the ledger is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

-- The one change a journal row may see: its texts and their salt become null, together, and nothing else moves.
CREATE FUNCTION credits_only_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE expected credits_credittransaction := OLD;
BEGIN
    expected.description := NULL;
    expected.reference := NULL;
    expected.metadata := NULL;
    expected.salt := NULL;
    IF NEW IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'UPDATE of % is refused: the ledger is append-only', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER journal_only_erasure BEFORE UPDATE ON credits_credittransaction
    FOR EACH ROW EXECUTE FUNCTION credits_only_erasure();
CREATE TRIGGER journal_no_delete BEFORE DELETE ON credits_credittransaction
    FOR EACH ROW EXECUTE FUNCTION credits_refuse();
CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON credits_credittransaction
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse();
CREATE TRIGGER lot_no_delete BEFORE DELETE ON credits_creditlot
    FOR EACH ROW EXECUTE FUNCTION credits_refuse();
CREATE TRIGGER lot_no_truncate BEFORE TRUNCATE ON credits_creditlot
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse();
CREATE TRIGGER credit_no_delete BEFORE DELETE ON credits_usercredit
    FOR EACH ROW EXECUTE FUNCTION credits_refuse();
CREATE TRIGGER credit_no_truncate BEFORE TRUNCATE ON credits_usercredit
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse();

-- Runs as the role that owns the journal, since the role that serves has no UPDATE on it.
CREATE FUNCTION credits_erase_texts(erased_user uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE changed bigint;
BEGIN
    UPDATE credits_credittransaction SET description = NULL, reference = NULL, metadata = NULL, salt = NULL
        WHERE user_id = erased_user AND salt IS NOT NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$;
REVOKE ALL ON FUNCTION credits_erase_texts(uuid) FROM PUBLIC;
"""

STORAGE = """
-- Half-full pages: the balance row is updated in place (HOT), so a spend touches no index of it.
ALTER TABLE credits_usercredit SET (fillfactor = 50);
ALTER TABLE credits_creditlot SET (fillfactor = 80);
"""

DROP = """
DROP FUNCTION credits_erase_texts(uuid);
DROP TRIGGER journal_only_erasure ON credits_credittransaction;
DROP TRIGGER journal_no_delete ON credits_credittransaction;
DROP TRIGGER journal_no_truncate ON credits_credittransaction;
DROP TRIGGER lot_no_delete ON credits_creditlot;
DROP TRIGGER lot_no_truncate ON credits_creditlot;
DROP TRIGGER credit_no_delete ON credits_usercredit;
DROP TRIGGER credit_no_truncate ON credits_usercredit;
DROP FUNCTION credits_only_erasure();
DROP FUNCTION credits_refuse();
DROP AGGREGATE credits_chain(bytea, bytea);
DROP FUNCTION credits_chain_step(bytea, bytea, bytea);
DROP FUNCTION credits_hash(bytea, bytea);
DROP FUNCTION credits_link(
    uuid, uuid, timestamptz, text, bigint, bigint, bigint, jsonb, text, text, bytea, bytea, uuid, uuid);
DROP FUNCTION credits_text_digest(bytea, text, text, jsonb);
DROP FUNCTION credits_now();
"""


class Migration(migrations.Migration):
    dependencies = [("credits", "0001_initial")]

    operations = [migrations.RunSQL(CLOCK + HASHES + GUARDS + STORAGE, DROP)]
