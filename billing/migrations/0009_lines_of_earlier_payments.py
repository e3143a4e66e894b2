"""One line for each payment that was settled before there were lines, which stands for all of it.

Nothing is posted. Payments that were kept though nothing was given for them are named in the log, as
`manage.py settlement_report` names them before this migration and after it; `manage.py reconcile_stripe` or "Settle
again" in the admin gives their credits.
"""

from typing import Any

import structlog
from django.db import migrations

log = structlog.get_logger("billing")
AT_ONCE = 10_000

LINES = """
WITH chosen AS (
    SELECT id FROM billing_payment WHERE settled_at IS NOT NULL AND id > %s ORDER BY id LIMIT %s
), made AS (
    INSERT INTO billing_paymentline (payment_id, line, price, kind, plan_id, quantity, credits, due, covered, expires_at,
        granted_by)
    SELECT payment.id, '', coalesce(plan.stripe_price, ''), payment.kind, payment.plan_id, payment.quantity,
        payment.credits, payment.paid, payment.kept, payment.expires_at, payment.granted_by
    FROM chosen JOIN billing_payment AS payment USING (id) LEFT JOIN billing_plan AS plan ON plan.id = payment.plan_id
    WHERE payment.kind <> 'open' AND NOT EXISTS (
        SELECT FROM billing_paymentline AS line WHERE line.payment_id = payment.id)
    ON CONFLICT DO NOTHING
)
SELECT max(id), count(*) FROM chosen
"""
# Before there was a column for it, refunds were what else was missing.
REFUNDED = """
UPDATE billing_payment SET refunded = paid - kept - disputed
WHERE settled_at IS NOT NULL AND refunded = 0 AND paid - kept - disputed > 0 AND id > %s AND id <= %s
"""
KEPT_WITHOUT_CREDITS = """
SELECT id, user_id, credits FROM billing_payment
WHERE settled_at IS NOT NULL AND granted_by IS NULL AND credits > 0 AND kept > 0 ORDER BY id
"""


def add_lines(apps: Any, schema_editor: Any) -> None:
    """Add them batch by batch, each committed, as payments go on being settled."""
    last = ""
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(LINES, [last, AT_ONCE])
            until, count = cursor.fetchone()
            if not count:
                break
            cursor.execute(REFUNDED, [last, until])
            last = until
        cursor.execute(KEPT_WITHOUT_CREDITS)
        for payment, user_id, credits in cursor.fetchall():
            log.warning("kept_without_credits", payment=payment, user=str(user_id), credits=credits)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0008_lines")]

    operations = [migrations.RunPython(add_lines, migrations.RunPython.noop, elidable=False)]
