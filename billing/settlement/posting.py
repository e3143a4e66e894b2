"""The journal rows of a payment: one grant per line, then corrections. Under the lock of the payment's row.

Every posting has the key `<payment>:<version>:<number of the line>`.
"""

from dataclasses import dataclass

import structlog
from django.db.models import Q, Sum

from accounts.errors import UserNotFound
from billing.models import Payment, PaymentLine
from billing.settlement import lines
from billing.stripe.snapshots import Snapshot
from credits import ledger
from credits.ledger.calls import Call, request_bytes
from credits.models import CreditTransaction, TransactionType

SERVICE = "billing"
GIVES = {
    PaymentLine.Kind.PACK: TransactionType.PURCHASE,
    PaymentLine.Kind.SUBSCRIPTION: TransactionType.SUBSCRIPTION,
    PaymentLine.Kind.PRORATION: TransactionType.SUBSCRIPTION,
    PaymentLine.Kind.TRIAL: TransactionType.TRIAL,
}

log = structlog.get_logger("billing")


@dataclass(frozen=True, slots=True)
class Posted:
    """The credits that a settlement has just posted: `granted` by new grants, `corrected` by chargebacks and restores.

    A trial's grant is not included: it is announced with the subscription that it begins.
    """

    granted: int = 0
    corrected: int = 0


def post(payment: Payment, rows: list[PaymentLine], snapshot: Snapshot, *, cause: str) -> Posted:
    """Post for each line the difference between what it is worth and what was posted for it. A correction says its
    cause.

    The grant is posted first, in full, so that the lots are the same whatever the order of events; then any excess is
    taken back. A chargeback takes only what is left to take: less than the difference if credits have expired.
    """
    try:
        given = [(row, _grant(payment, row, snapshot)) for row in rows]
        corrected = sum(_correct(payment, row, cause) for row in rows)
    except UserNotFound:
        log.info("payment_of_an_erased_user", payment=payment.pk)
        return Posted()
    return Posted(sum(credits for row, credits in given if row.kind != PaymentLine.Kind.TRIAL), corrected)


def _grant(payment: Payment, row: PaymentLine, snapshot: Snapshot) -> int:
    """Grant what was bought, once; after that only corrections follow."""
    if row.granted_by is not None or not row.credits or not row.is_bought:
        return 0
    row.expires_at = lines.expiry(row, snapshot)
    made = ledger.add(
        user_id=payment.user_id,
        amount=row.credits,
        type=GIVES[PaymentLine.Kind(row.kind)],
        expires_at=row.expires_at,
        call=_call(payment, row, "grant"),
    )
    row.granted_by = made.pk
    row.save(update_fields=["expires_at", "granted_by"])
    return made.amount


def _correct(payment: Payment, row: PaymentLine, cause: str) -> int:
    difference = row.worth - posted_for(row) if row.granted_by is not None else 0
    if not difference or row.granted_by is None:
        return 0
    payment.version += 1
    verb = ledger.restore if difference > 0 else ledger.charge_back
    made = verb(
        user_id=payment.user_id,
        granted_by=row.granted_by,
        amount=abs(difference),
        call=_call(payment, row, "restore" if difference > 0 else "charge_back", {"cause": cause}),
    )
    return made.amount if made is not None else 0


def posted(payment: Payment) -> int:
    """Return the sum of a payment's journal rows."""
    return sum(map(posted_for, payment.lines.all()))


def posted_for(row: PaymentLine) -> int:
    if row.granted_by is None:
        return 0
    rows = CreditTransaction.objects.filter(
        Q(pk=row.granted_by) | Q(refund_of=row.granted_by, type=TransactionType.CHARGEBACK),
        holder_id=row.payment.user_id,
    )
    return int(rows.aggregate(total=Sum("amount"))["total"] or 0)


def _call(payment: Payment, row: PaymentLine, operation: str, metadata: dict[str, str] | None = None) -> Call:
    key = f"{payment.pk}:{payment.version}:{row.pk}"
    request = request_bytes(operation, path=key, fields={})
    return Call(service=SERVICE, key=key, request=request, reference=payment.pk, metadata=metadata)
