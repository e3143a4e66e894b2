"""Prove that payments and the journal agree.

Kept money has given its credits, no credits were given for money that was not kept, and what was announced is what was
posted. `verify_ledger` and the nightly check call this (LEDGER_CHECKS), and check users with a finding again under the
lock of their balance. Every posting of a payment takes that lock too, so nothing half-done is seen then.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections, transaction
from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from accounts.models import User
from billing.models import Payment, PaymentLine
from billing.settlement import lines, posting
from credits.ledger.verify import Finding
from credits.models import CreditLot, CreditTransaction

TELLING = ("completed", "refunded", "disputed", "restored", "corrected")
TYPES = ["subscription.renewed", *(f"purchase.{what}" for what in TELLING)]
MARGIN = timedelta(days=1)  # an event is a little older than the payment, and is purged a little earlier
PAGE = 500
Grant = tuple[UUID, UUID]  # its holder, and the journal row that made it

# Leaves out payments settled by versions before there were lines, which announced them in other words.
TOLD = """
SELECT payment.id, payment.user_id, coalesce(told.posted, 0)::bigint
FROM billing_payment AS payment LEFT JOIN (
    SELECT data ->> 'payment' AS id, sum((data ->> 'posted')::bigint) AS posted FROM accounts_serviceevent
    WHERE type = ANY(%(types)s) AND (%(user)s::uuid IS NULL OR user_id = %(user)s) GROUP BY 1
) AS told ON told.id = payment.id
WHERE payment.settled_at > %(since)s AND (%(user)s::uuid IS NULL OR payment.user_id = %(user)s)
    AND EXISTS (SELECT FROM billing_paymentline AS line WHERE line.payment_id = payment.id)
    AND NOT EXISTS (SELECT FROM billing_paymentline AS line WHERE line.payment_id = payment.id AND line.line = '')
ORDER BY payment.id
"""


def of_users(*, user_ids: Sequence[UUID], using: str) -> Iterator[Finding]:
    """Yield these users' payment lines whose credits are not what they are worth, and grants without a payment."""
    with _unhurried(using):
        posted, payments = _posted(user_ids, using), list(_settled(using).filter(user__in=user_ids))
    for payment in payments:
        if (payment.covered or 0) > (payment.kept or 0):
            yield Finding(payment.user_id, payment.pk, "covered")
        for row in _lines(payment):
            has = posted.pop((payment.user_id, row.granted_by), 0) if row.granted_by else 0
            if finding := _of_line(row, has, using):
                yield Finding(payment.user_id, f"{payment.pk} {row.line}".rstrip(), finding)
    for user_id, grant in posted:
        yield Finding(user_id, str(grant), "unpaid")


def of_all(*, user_id: UUID | None, using: str) -> Iterator[Finding]:
    """Yield the payments, of everyone or of one user, whose events add up to another sum than the journal.

    Events are kept only for a while, so those of older payments are not checked.
    """
    since = timezone.now() - settings.RETENTION["events"] + MARGIN
    with _unhurried(using), connections[using].chunked_cursor() as cursor:
        cursor.execute(TOLD, {"types": TYPES, "user": user_id, "since": since})
        while page := cursor.fetchmany(PAGE):
            yield from _told_wrongly(page, using)


def _told_wrongly(page: Sequence[tuple[str, UUID, int]], using: str) -> Iterator[Finding]:
    posted = _posted({user_id for _, user_id, _ in page}, using)
    granted = PaymentLine.objects.using(using).filter(granted_by__isnull=False)
    told_of = granted.filter(payment__in=[payment for payment, _, _ in page]).exclude(
        kind=PaymentLine.Kind.TRIAL  # `subscription.created` announces it
    )
    sums: Counter[str] = Counter()
    for payment, user_id, grant in told_of.values_list("payment", "payment__user", "granted_by"):
        sums[payment] += posted[user_id, grant] if grant else 0
    for payment, user_id, told in page:
        if told != sums[payment]:
            yield Finding(user_id, payment, "told")


def _settled(using: str) -> QuerySet[Any]:
    """Return the settled payments with what their lines cover, all as of one moment, from a single statement."""
    payments = Payment.objects.using(using).filter(settled_at__isnull=False).order_by("pk")
    return (
        payments.annotate(covered=Sum("lines__covered"))
        .select_related("user", "plan")
        .prefetch_related("lines")
    )


def _lines(payment: Payment) -> list[PaymentLine]:
    """Return the lines or, if a version before lines settled the payment, the one that stands for all of it."""
    if stored := list(payment.lines.all()):
        return stored
    whole = lines.of_earlier_version(payment)
    whole.covered = min(payment.kept or 0, whole.due)
    return [whole]


def _of_line(row: PaymentLine, posted: int, using: str) -> str:
    """Return what is wrong with a line, if anything. Erased users gain nothing and lose nothing."""
    if row.payment.user.status == User.Status.DELETED:
        return ""
    if row.granted_by is None:
        was_refused = row.kind == PaymentLine.Kind.TRIAL and not row.line  # how earlier versions noted it
        return "not given" if row.worth and not was_refused else ""
    if posted == row.worth or (
        posted > row.worth and _is_used_up(row.payment.user_id, row.granted_by, using)
    ):
        return ""
    return "worth"


def _is_used_up(user_id: UUID, made_by: UUID, using: str) -> bool:
    """Return whether a grant has nothing left to take back: expired credits are gone already."""
    lots = CreditLot.objects.using(using).filter(
        holder_id=user_id, kind=CreditLot.Kind.GRANT, transaction_id=made_by
    )
    return lots.filter(issued=F("expired") + F("charged_back")).exists()


def _posted(user_ids: Collection[UUID], using: str) -> Counter[Grant]:
    """Return the journal's sum for each grant of a payment: the grant itself, and its corrections."""
    journal = CreditTransaction.objects.using(using).filter(holder_id__in=user_ids, service=posting.SERVICE)
    sums: Counter[Grant] = Counter()
    for holder, row, amount, corrected in journal.values_list("holder_id", "pk", "amount", "refund_of"):
        sums[holder, corrected or row] += amount
    return sums


@contextmanager
def _unhurried(using: str) -> Iterator[None]:
    """Lift the statement time-out: a user may have a million rows."""
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        yield
