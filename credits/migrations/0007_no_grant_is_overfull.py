"""No grant holds more than was issued, less what expired and was charged back: mended where one does, then required.

Earlier versions gave what came back from repaid debt to the grant that had been charged back, whatever it held. Such a
grant keeps what it may hold. The rest becomes a grant of its own, by a journal row of amount 0 behind all others of the
user: nobody's balance changes and nothing of the journal is rewritten. `manage.py verify_ledger --before-migrate` lists
whose grants these are, and changes nothing.
"""

from typing import Any

import structlog
from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations, models, transaction
from django.db.models import F, Q

from accounts.kit.repeatable import AddConstraintNotValid
from credits.identifiers import uuid7

log = structlog.get_logger("ledger")

# An old version may be serving: the grants are looked for in one long read, and mended a user at a time.
OVERFULL = """
SELECT DISTINCT lot.user_id FROM credits_creditlot AS lot
JOIN credits_usercredit AS account ON account.user_id = lot.user_id
WHERE lot.remaining + CASE WHEN lot.id = account.open_lot THEN account.open_left ELSE 0 END
    > lot.issued - lot.expired - lot.charged_back
"""

LOCK = "SELECT FROM credits_usercredit WHERE user_id = %s FOR NO KEY UPDATE"

# One overfull grant of a user whose row is locked. What is too much is taken from what is left in the grant, and beyond
# that from what had expired of it. The row comes before what is due by now, which expires at its own time as ever.
MEND = """
WITH account AS MATERIALIZED (
    SELECT *, greatest(at + interval '1 microsecond', least(credits_now(), due_at - interval '1 microsecond')) AS next
    FROM credits_usercredit WHERE user_id = %(user)s
), held AS (
    SELECT lot.*, lot.remaining + CASE WHEN lot.id = account.open_lot THEN account.open_left ELSE 0 END AS left_in_it
    FROM credits_creditlot AS lot, account WHERE lot.user_id = account.user_id
), overfull AS MATERIALIZED (
    SELECT *, least(excess, left_in_it) AS live, excess - least(excess, left_in_it) AS gone FROM (
        SELECT *, left_in_it - (issued - expired - charged_back) AS excess FROM held) AS measured
    WHERE excess > 0 ORDER BY id LIMIT 1
), made AS (
    INSERT INTO credits_creditlot (user_id, kind, source, priority, issued, remaining, expired, charged_back,
        expires_at, created_at, transaction_id, captured, status, service)
    SELECT user_id, 'grant', 'refund', priority, excess, live, gone, 0, overfull.expires_at, account.next, %(entry)s, 0,
        'open', service
    FROM overfull JOIN account USING (user_id) RETURNING id
), corrected AS (
    UPDATE credits_creditlot AS lot SET expired = lot.expired - overfull.gone,
        remaining = lot.remaining - CASE WHEN lot.id = account.open_lot THEN 0 ELSE overfull.live END
    FROM overfull JOIN account USING (user_id) WHERE lot.id = overfull.id
), written AS MATERIALIZED (
    SELECT account.user_id, account.next, account.balance, account.held, account.hash AS head, overfull.id AS lot,
        made.id AS made, overfull.excess, overfull.live, texts.salt, texts.description,
        credits_text_digest(texts.salt, texts.description, NULL, NULL) AS text_digest,
        CASE WHEN overfull.live > 0 THEN jsonb_build_array(
            jsonb_build_array(overfull.id, -overfull.live), jsonb_build_array(made.id, overfull.live)) ELSE '[]' END
        || CASE WHEN overfull.gone > 0 THEN jsonb_build_array(
            jsonb_build_array(made.id, overfull.gone), jsonb_build_array(made.id, -overfull.gone)) ELSE '[]' END AS lots
    FROM account JOIN overfull USING (user_id), made, (
        SELECT uuid_send(gen_random_uuid()) AS salt,
            'What a grant held beyond its issue, as a grant of its own' AS description) AS texts
), entry AS (
    INSERT INTO credits_credittransaction
        (id, user_id, at, type, amount, balance, held, lots, service, description, salt, text_digest, hash)
    SELECT %(entry)s, user_id, next, 'adjustment', 0, balance, held, lots, 'system', description, salt, text_digest,
        credits_hash(head, credits_link(%(entry)s, user_id, next, 'adjustment', 0, balance, held, lots, 'system', NULL,
            NULL, text_digest, NULL, NULL))
    FROM written RETURNING at, hash
)
UPDATE credits_usercredit AS row SET at = entry.at, hash = entry.hash,
    open_left = row.open_left - CASE WHEN row.open_lot = written.lot THEN written.live ELSE 0 END
FROM written, entry WHERE row.user_id = written.user_id
RETURNING written.lot, written.made, written.excess
"""

GUARD = """
CREATE OR REPLACE FUNCTION credits_open_grant_holds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.open_left > (SELECT issued - expired - charged_back FROM credits_creditlot
            WHERE id = NEW.open_lot AND user_id = NEW.user_id) THEN
        RAISE EXCEPTION 'the open grant of % would hold more than it can', NEW.user_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_open_within_its_issue', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;
-- A use only lowers what is left of the same grant: the condition is all that it pays.
CREATE OR REPLACE TRIGGER credit_open_within_its_issue AFTER UPDATE ON credits_usercredit FOR EACH ROW
    WHEN (NEW.open_left > OLD.open_left OR NEW.open_lot IS DISTINCT FROM OLD.open_lot)
    EXECUTE FUNCTION credits_open_grant_holds();
"""

DROP_GUARD = """
DROP TRIGGER credit_open_within_its_issue ON credits_usercredit;
DROP FUNCTION credits_open_grant_holds();
"""


def mend(apps: Any, schema_editor: Any) -> None:
    """Make what overfull grants hold too much grants of their own, and log each."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(OVERFULL)
        for (user_id,) in cursor.fetchall():
            _mend_user(cursor, user_id)


@transaction.atomic
def _mend_user(cursor: Any, user_id: Any) -> None:
    cursor.execute(LOCK, [user_id])
    while mended := cursor.execute(MEND, {"user": user_id, "entry": uuid7()}).fetchone():
        lot, made, credits = mended
        log.warning("grant_mended", user_id=str(user_id), grant=lot, made=made, credits=credits)


class Migration(migrations.Migration):
    atomic = False  # no lock outlives its statement

    dependencies = [("credits", "0006_admin_lists")]

    operations = [
        migrations.RunPython(mend, migrations.RunPython.noop),
        AddConstraintNotValid(
            model_name="creditlot",
            constraint=models.CheckConstraint(
                condition=Q(remaining__lte=F("issued") - F("expired") - F("charged_back")),
                name="lot_within_its_issue",
            ),
        ),
        migrations.RunSQL(GUARD, DROP_GUARD),
        # What an old version did since the first look; from here on it cannot.
        migrations.RunPython(mend, migrations.RunPython.noop),
        ValidateConstraint(model_name="creditlot", name="lot_within_its_issue"),
    ]
