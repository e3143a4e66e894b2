"""What staff may do with billing, each with a reason, in the audit log before Stripe is asked.

Refunds and cancellations are Stripe's to carry out; the credits follow at once, as they would with the event.
"""

import uuid

from accounts import audit
from accounts.audit import Event
from billing.models import BillingAccount, InboxEvent, Payment
from billing.settlement import lifecycle, settle
from billing.stripe import gateway, sdk
from billing.stripe.shapes import ENDED_SUBSCRIPTIONS
from billing.stripe_sync import inbox


def refund(payment: Payment, *, amount: int | None, reason: str, actor: str, order_id: uuid.UUID) -> None:
    """All that is kept, or part of it; the same order refunds once. Raises what the gateway raises."""
    detail = {"payment": payment.pk, "amount": amount, "currency": payment.currency, "reason": reason}
    audit.record(Event.REFUND_ORDERED, user_id=payment.user_id, actor=actor, detail=detail)
    with sdk.within():
        gateway.create_refund(
            payment_intent=payment.payment_intent,
            amount=amount,
            metadata={"order": str(order_id)},
            key=f"refund-{order_id}",
        )
        settle.settle(payment.pk)


def settle_again(payment: Payment, *, reason: str, actor: str) -> None:
    """Brings the credits in line with what Stripe says now: where they are, nothing is posted."""
    detail = {"payment": payment.pk, "reason": reason}
    audit.record(Event.SETTLEMENT_ORDERED, user_id=payment.user_id, actor=actor, detail=detail)
    settle.settle(payment.pk)


def cancel(account: BillingAccount, *, at_once: bool, reason: str, actor: str) -> None:
    detail = {"subscription": account.subscription, "at_once": at_once, "reason": reason}
    audit.record(Event.CANCELLATION_ORDERED, user_id=account.pk, actor=actor, detail=detail)
    with sdk.within():
        found = gateway.retrieve_subscription(account.subscription)
        if found["status"] not in ENDED_SUBSCRIPTIONS:
            if at_once:
                gateway.cancel_subscription(subscription=account.subscription)
            else:
                gateway.set_cancel_at_period_end(subscription=account.subscription, cancel=True)
        lifecycle.follow(account.pk)


def replay(event: InboxEvent, *, reason: str, actor: str) -> None:
    """Only what was given up: everything else is carried out anyway."""
    detail = {"event": event.event_id, "type": event.type, "reason": reason}
    audit.record(Event.EVENT_REPLAYED, user_id=None, actor=actor, detail=detail)
    inbox.replay(event)
