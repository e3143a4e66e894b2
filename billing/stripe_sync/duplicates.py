"""The later of two subscriptions that one user has paid: it does not renew, and is refunded if so configured."""

from django.conf import settings

from billing.models import BillingAccount, CustomerChange, Payment
from billing.settlement import settle, standing_plans
from billing.stripe import ending, gateway, shapes
from billing.stripe.shapes import ENDED_SUBSCRIPTIONS, Object
from credits.models import CreditTransaction, TransactionType

USED = (TransactionType.USE, TransactionType.HOLD)


def end_renewal(change: CustomerChange, customer: str) -> None:
    found = gateway.retrieve_subscription(change.subscription)
    if found["status"] in ENDED_SUBSCRIPTIONS:
        return
    payment = _to_give_back(change, found) if settings.BILLING_REFUND_DUPLICATES else None
    if payment is not None:
        give_back(payment, key=f"duplicate-{payment.pk}")
    else:
        ending.with_period(change.subscription)


def _to_give_back(change: CustomerChange, found: Object) -> Payment | None:
    """Return the subscription's only payment if it was surely a mistake.

    That is: same plan and card, the other subscription active, no credits used, neither refunded nor disputed.
    """
    settle.settle(shapes.id_of(found["latest_invoice"]))  # this may run before its event
    account = BillingAccount.objects.filter(pk=change.user_id, status=BillingAccount.Status.ACTIVE).first()
    payments = Payment.objects.filter(subscription=change.subscription, settled_at__isnull=False)
    payment = payments.first() if payments.count() == 1 else None
    if account is None or payment is None or not payment.payment_intent:
        return None
    other = gateway.retrieve_subscription(account.subscription)
    is_same = _what_and_with(found) == _what_and_with(other) and all(_what_and_with(found))
    is_whole = not payment.refunded and not payment.disputed and not _has_used(payment)
    return payment if is_same and is_whole else None


def _what_and_with(subscription: Object) -> tuple[str, str]:
    card = shapes.fingerprint(subscription.get("default_payment_method"))
    return standing_plans.price_of(subscription), card


def _has_used(payment: Payment) -> bool:
    """Return whether anything was spent since the grant: that may include its credits."""
    rows = CreditTransaction.objects.filter(holder_id=payment.user_id)
    if payment.granted_by is None:
        return True
    granted = rows.filter(pk=payment.granted_by).values_list("at", flat=True).first()
    return granted is None or rows.filter(at__gt=granted, type__in=USED).exists()


def give_back(payment: Payment, *, key: str) -> None:
    """End a payment's subscription at once and refund all that is kept of it. Raises what the gateway raises."""
    ending.at_once(payment.subscription)
    gateway.create_refund(payment_intent=payment.payment_intent, amount=None, metadata={}, key=key)
    settle.settle(payment.pk)
