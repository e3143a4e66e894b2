"""manage.py settlement_report: lists what people have to look at after an upgrade. Changes nothing, calls nothing.

Every statement uses columns from before payments had lines, or tables whose existence is checked first: so it can say
before the migrations what there will be to do after them.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from accounts.management.command import OurCommand


@dataclass(frozen=True, slots=True)
class Finding:
    """A kind of trouble: the query for its rows, and the texts for one of them and for their number."""

    name: str
    rows: str
    told: str
    counted: str
    needs: str = "billing_payment"  # without this table there is nothing to report
    unless: tuple[str, str] = ("", "")  # an extra condition, and the table without which it is left out


FINDINGS = (
    Finding(
        "kept_without_credits",
        """
        SELECT payment.id, payment.user_id::text, payment.credits, payment.kept, payment.currency, payment.paid_at::text
        FROM billing_payment AS payment JOIN accounts_user AS person ON person.id = payment.user_id
        WHERE payment.settled_at IS NOT NULL AND payment.granted_by IS NULL AND payment.credits > 0
            AND (payment.kept > 0 OR payment.paid = 0 AND payment.kind <> 'trial') AND person.status <> 'deleted'
        ORDER BY payment.paid_at
        """,
        "{0}  {1}  {3} {4} of {5}: {2} credits not granted",
        "payments kept without credits",
    ),
    Finding(
        "open_lines",
        """
        SELECT line.payment_id, payment.user_id::text, line.covered, payment.currency, payment.paid_at::text,
            coalesce(nullif(line.price, ''), 'no price')
        FROM billing_paymentline AS line JOIN billing_payment AS payment ON payment.id = line.payment_id
        WHERE line.kind = 'open' ORDER BY line.created_at
        """,
        "{}  {}  {} {} of {}: no plan for {}",
        "open lines",
        needs="billing_paymentline",
    ),
    Finding(
        "two_subscriptions",
        """
        SELECT link.user_id::text, string_agg(copy.id, ', ' ORDER BY copy.id)
        FROM djstripe_subscription AS copy JOIN billing_customerlink AS link
            ON link.customer = copy.stripe_data ->> 'customer'
        WHERE copy.stripe_data ->> 'status' IN ('active', 'trialing', 'past_due', 'unpaid', 'paused')
        GROUP BY link.user_id HAVING count(*) > 1 ORDER BY link.user_id
        """,
        "{}  {}",
        "users with two subscriptions: the later one will not renew",
        needs="djstripe_subscription",
    ),
    Finding(
        "prices_without_plan",
        """
        SELECT item -> 'price' ->> 'id' AS price, count(*)
        FROM djstripe_subscription AS copy, jsonb_array_elements(copy.stripe_data -> 'items' -> 'data') AS item
        WHERE copy.stripe_data ->> 'status' IN ('active', 'trialing', 'past_due', 'unpaid', 'paused')
            AND NOT EXISTS (SELECT FROM billing_plan AS plan WHERE plan.stripe_price = item -> 'price' ->> 'id')
        GROUP BY 1 ORDER BY 1
        """,
        "{}  {} live subscriptions",
        "prices that renew but have no plan",
        needs="djstripe_subscription",
    ),
    Finding(
        "lost_links",
        """
        SELECT copy.id, copy.stripe_data -> 'metadata' ->> 'user_id' FROM djstripe_customer AS copy
        WHERE copy.stripe_data -> 'metadata' ->> 'user_id' IN (
                SELECT id::text FROM accounts_user WHERE status <> 'deleted')
            AND NOT EXISTS (SELECT FROM billing_customerlink AS link WHERE link.customer = copy.id)
            {unless} ORDER BY copy.id
        """,
        "{}  {}",
        "customers no longer linked to their users: the nightly run relinks those with this service's mark",
        needs="djstripe_customer",
        unless=(
            "AND NOT EXISTS (SELECT FROM billing_formercustomer AS former WHERE former.customer = copy.id)",
            "billing_formercustomer",
        ),
    ),
    Finding(
        "purchases_by_services",
        """
        SELECT service, count(*), sum(amount)::bigint FROM credits_credittransaction
        WHERE type = 'purchase' AND service <> 'billing' GROUP BY service ORDER BY service
        """,
        "{}  {} purchases of {} credits",
        "services that record purchases: their keys will get the scope credits:sell",
        needs="credits_credittransaction",
    ),
    Finding(
        "erased_with_credits",
        """
        SELECT person.id::text, account.balance FROM credits_usercredit AS account JOIN accounts_user AS person
            ON person.id::text = coalesce(to_jsonb(account) ->> 'user_id', to_jsonb(account) ->> 'holder_id')
        WHERE person.status = 'deleted' AND account.balance > 0 ORDER BY person.id
        """,  # the column had another name before the ledger belonged to holders
        "{}  {} credits",
        "erased users with credits: the sweep will forfeit them once open holds have ended",
        needs="credits_usercredit",
    ),
    Finding(
        "own_adjustments",
        """
        SELECT request.id::text, request.user_id::text, request.amount FROM credits_adjustmentrequest AS request
        WHERE request.user_id IN (request.requested_by_id, request.decided_by_id)
            AND coalesce(to_jsonb(request) ->> 'before_rule', 'false') = 'false' ORDER BY request.id
        """,
        "{}  {}  {} credits",
        "adjustments that staff requested or approved for themselves: they will be marked and kept",
        needs="credits_adjustmentrequest",
    ),
)


class Command(OurCommand):
    area, brief = "Billing", "list payments that need attention"
    help = (
        "Lists payments that were kept although no credits were granted, and whatever else an upgrade of "
        "billing affects. Changes nothing."
    )

    def handle(self, **options: Any) -> None:
        found = {finding.name: rows_of(finding) for finding in FINDINGS}
        self.tell(
            found,
            *(finding.told.format(*row) for finding in FINDINGS for row in found[finding.name]),
            *(f"{len(found[finding.name])} {finding.counted}." for finding in FINDINGS),
        )


def rows_of(finding: Finding) -> list[list[Any]]:
    if not _is_there(finding.needs):
        return []
    condition, table = finding.unless
    with connection.cursor() as cursor:
        cursor.execute(finding.rows.replace("{unless}", condition if _is_there(table) else ""))
        return [list(row) for row in cursor.fetchall()]


def _is_there(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table or None])
        return bool(cursor.fetchone()[0])
