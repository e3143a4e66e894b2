"""Notify users by mail, and other services by events, of what became of a payment or a subscription.

Each function is called once, in the transaction of its cause, by the code that found it out
(billing/settlement/settle.py, billing/settlement/lifecycle.py, billing/stripe_sync/inbox.py). The audit row that it
writes is what the mail is rendered from, and what the user sees among their activity.

Events: purchase.completed, purchase.failed, purchase.refunded, purchase.disputed, purchase.restored,
purchase.corrected;
subscription.created, subscription.renewed, subscription.changed, subscription.canceled, subscription.payment_failed,
subscription.change_pending, subscription.change_expired, subscription.trial_ending, subscription.duplicated;
card.expiring; billing.balance_credited. docs/billing.md has their fields.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from accounts import audit, events, mail
from accounts.audit import Event
from accounts.models import AuditEvent, ServiceEvent, User
from billing.models import BillingAccount, Payment
from billing.settlement.posting import Posted
from billing.stripe.shapes import written

Detail = dict[str, Any]
Told = tuple[str, Event | None, dict[str, int]]
Status = BillingAccount.Status
PAUSED = "paused"

MAILS = {
    Event.PURCHASED: mail.PURCHASE,
    Event.SUBSCRIPTION_RENEWED: mail.RENEWAL,
    Event.SUBSCRIPTION_CANCELED: mail.CANCELLATION,
    Event.PAYMENT_FAILED: mail.PAYMENT_FAILED,
    Event.PURCHASE_FAILED: mail.PURCHASE_FAILED,
    Event.PAYMENT_REFUNDED: mail.REFUND,
    Event.PAYMENT_DISPUTED: mail.DISPUTE,
    Event.TRIAL_ENDING: mail.TRIAL_ENDING,
    Event.CARD_EXPIRING: mail.CARD_EXPIRING,
    Event.SUBSCRIBED_TWICE: mail.SUBSCRIBED_TWICE,
    Event.SUBSCRIPTION_CHANGED: mail.PLAN_CHANGED,
    Event.CHANGE_PENDING: mail.CHANGE_PENDING,
    Event.CHANGE_EXPIRED: mail.CHANGE_EXPIRED,
}


# ---------------------------------------------------------------- payments


@dataclass(frozen=True, slots=True)
class Money:
    """The state of a payment before a settlement."""

    was_settled: bool
    kept: int
    refunded: int
    disputed: int

    @classmethod
    def of(cls, payment: Payment) -> "Money":
        """Return the payment's state. A version from before `refunded` was separate may have left that at 0."""
        kept, disputed = payment.kept or 0, payment.disputed
        gone = (payment.paid or 0) + payment.from_balance - kept - disputed
        return cls(payment.settled_at is not None, kept, max(payment.refunded, gone), disputed)


def settled(payment: Payment, *, before: Money, posted: Posted, receipt: Detail) -> None:
    """Notify of what a settlement found and posted, each once: over all events, `posted` adds up to the journal's sum.

    `receipt` is only for the user's records: the number, tax and page at Stripe of what they paid.
    """
    receipt = {**receipt, "paid_at": written(payment.paid_at)}
    if not before.was_settled and payment.to_balance:
        balance_credited(payment)
    moves = list(_moved(payment, before))
    granted = posted.granted
    if posted.corrected and not moves:
        if granted:  # less than the whole was paid from the start
            granted += posted.corrected
        else:
            moves = [_event("purchase.corrected")]
    is_news = not before.was_settled and payment.kind in NEWS and payment.kept
    if posted.granted or is_news:
        _bought(payment, granted, receipt)
    for number, (type_, event, what) in enumerate(moves):
        detail = {**about(payment), "posted": 0 if number else posted.corrected, **what}
        events.emit(type_, user_id=payment.user_id, data=detail)
        if event is not None:
            _tell(event, payment.user_id, {**detail, **receipt})


def balance_credited(payment: Payment) -> None:
    """Announce that prorations left money on the customer's balance: renewals that it pays for give fewer credits."""
    detail = {
        "payment": payment.pk,
        "subscription": payment.subscription or None,
        "amount": payment.to_balance,
        "currency": payment.currency,
    }
    events.emit("billing.balance_credited", user_id=payment.user_id, data=detail)


NEWS = {Payment.Kind.PACK, Payment.Kind.SUBSCRIPTION}


def _bought(payment: Payment, granted: int, receipt: Detail) -> None:
    """Announce a purchase or renewal. Without credits, no mail says that they have arrived."""
    is_renewal = payment.kind == Payment.Kind.SUBSCRIPTION and not _is_first(payment)
    renewed = _event("subscription.renewed", Event.SUBSCRIPTION_RENEWED)
    type_, event, _ = renewed if is_renewal else _event("purchase.completed", Event.PURCHASED)
    detail = {**about(payment), "posted": granted}
    events.emit(type_, user_id=payment.user_id, data=detail)
    if granted and event is not None:
        _tell(event, payment.user_id, {**detail, **receipt})


def _is_first(payment: Payment) -> bool:
    """Return whether it is its subscription's first payment. After a trial, the first paid one counts as a renewal."""
    of_subscription = Payment.objects.filter(subscription=payment.subscription, settled_at__isnull=False)
    periods = of_subscription.filter(kind__in=[Payment.Kind.SUBSCRIPTION, Payment.Kind.TRIAL])
    return not periods.exclude(pk=payment.pk).exists()


def _moved(payment: Payment, before: Money) -> Iterator[Told]:
    """Yield what was taken and returned. If a refund and a dispute overlap, less comes back than the dispute took."""
    refunded = payment.refunded - before.refunded
    disputed = payment.disputed - before.disputed
    if refunded > 0:
        yield _event("purchase.refunded", Event.PAYMENT_REFUNDED, refunded=refunded)
    if disputed > 0:
        yield _event("purchase.disputed", Event.PAYMENT_DISPUTED, disputed=disputed)
    back = min(max(0, -refunded) + max(0, -disputed), (payment.kept or 0) - before.kept)
    if before.was_settled and back > 0:
        yield _event("purchase.restored", restored=back)


def cause(payment: Payment, before: Money) -> str:
    """Return why a settlement corrects the credits of a payment: `refunded`, `disputed`, `restored` or `corrected`, as
    the event that tells of it is named."""
    moves = list(_moved(payment, before))
    return moves[0][0].removeprefix("purchase.") if moves else "corrected"


def _event(type_: str, event: Event | None = None, **what: int) -> Told:
    """Return an event for services, the audit event that the user is mailed, if any, and further fields."""
    return type_, event, what


def failed(user_id: uuid.UUID, *, session: str, amount: int, currency: str) -> None:
    """Notify that the money of a checkout did not arrive, days after it was requested. Once for each session."""
    detail = {"session": session, "amount": amount, "currency": currency}
    if not ServiceEvent.objects.filter(
        user_id=user_id, type="purchase.failed", data__session=session
    ).exists():
        events.emit("purchase.failed", user_id=user_id, data=detail)
        _tell(Event.PURCHASE_FAILED, user_id, detail)


def about(payment: Payment) -> Detail:
    """Return a payment's fields: `amount` and `kept` in the currency's smallest unit; `credits` granted in all."""
    return {
        "payment": payment.pk,
        "kind": payment.kind,
        "plan": payment.plan.code if payment.plan else None,
        "name": payment.plan.name if payment.plan else None,
        "quantity": payment.quantity,
        "credits": sum(row.credits for row in payment.lines.exclude(granted_by=None)),
        "amount": payment.paid,
        "kept": payment.kept,
        "currency": payment.currency,
        "subscription": payment.subscription or None,
    }


# ---------------------------------------------------------------- the subscription


def account_changed(account: BillingAccount, before: BillingAccount, *, owed: int | None = None) -> None:
    """Notify of what differs from `before`, the row as it was, if anything does.

    Called under the row's lock, whenever Stripe was read. `owed` is the amount of a failed payment, or of one that a
    change waits for; None: the plan's price.
    """
    detail = _subscription(account)
    if _has_begun(account) and (account.subscription != before.subscription or not _has_begun(before)):
        events.emit("subscription.created", user_id=account.pk, data=detail)
    elif _has_begun(account) and _settings(account) != _settings(before):
        events.emit("subscription.changed", user_id=account.pk, data=detail)
        if _is_told_of_the_plan(account, before):
            _tell(Event.SUBSCRIPTION_CHANGED, account.pk, detail)
    _tell_of_what_waits(account, before, owed=owed)
    if _is_overdue(account) and not _is_overdue(before):
        failed = {**detail, "amount": detail["amount"] if owed is None else owed}
        events.emit("subscription.payment_failed", user_id=account.pk, data=failed)
        _tell(Event.PAYMENT_FAILED, account.pk, failed)
    if account.status == Status.CANCELED and before.status != Status.CANCELED:
        events.emit("subscription.canceled", user_id=account.pk, data=detail)
    if _is_told_of_the_end(account, before):
        _tell(Event.SUBSCRIPTION_CANCELED, account.pk, detail)


def _has_begun(account: BillingAccount) -> bool:
    return account.status not in {Status.NONE, Status.CANCELED}


def _is_overdue(account: BillingAccount) -> bool:
    """Return whether a payment has failed. A paused one was not supposed to be paid."""
    return account.status in {Status.PAST_DUE, Status.FROZEN} and account.stripe_status != PAUSED


def _settings(account: BillingAccount) -> tuple[Any, ...]:
    """Return what someone has chosen, for comparison."""
    return (
        account.plan_id,
        account.next_plan_id,
        account.cancel_at_period_end,
        account.stripe_status == PAUSED,
    )


def _is_told_of_the_plan(account: BillingAccount, before: BillingAccount) -> bool:
    """Return whether to mail the user: another plan is newly planned, or came unplanned. An end has its own mail."""
    planned = account.next_plan_id is not None and account.next_plan_id != before.next_plan_id
    came = account.plan_id != before.plan_id and account.plan_id not in {None, before.next_plan_id}
    return planned or came


def _tell_of_what_waits(account: BillingAccount, before: BillingAccount, *, owed: int | None) -> None:
    """Notify of a change that waits for its payment, and of one that did not come about, each once."""
    waits, waited = (
        (row.pending_plan_id, row.pending_expires_at) if row.pending_plan_id else None
        for row in (account, before)
    )
    if waits == waited or account.subscription != before.subscription:
        return
    if waited is not None and before.pending_plan_id not in {account.plan_id, account.next_plan_id}:
        detail = {**_subscription(account), **_waiting(before)}
        events.emit("subscription.change_expired", user_id=account.pk, data=detail)
        _tell(Event.CHANGE_EXPIRED, account.pk, detail)
    if waits is not None:
        detail = {**_subscription(account), **_waiting(account)}
        detail["pending_amount"] = detail["pending_amount"] if owed is None else owed
        events.emit("subscription.change_pending", user_id=account.pk, data=detail)
        _tell(Event.CHANGE_PENDING, account.pk, detail)


def _waiting(account: BillingAccount) -> Detail:
    """Return the change that waits, or has waited, for its payment."""
    plan = account.pending_plan
    return {
        "pending_plan": plan.code if plan else None,
        "pending_name": plan.name if plan else None,
        "pending_amount": plan.amount if plan else None,
        "pending_expires_at": written(account.pending_expires_at),
    }


def _is_told_of_the_end(account: BillingAccount, before: BillingAccount) -> bool:
    """Return whether to mail the user: an end is newly planned, or has happened unplanned."""
    planned = account.cancel_at_period_end and not before.cancel_at_period_end and _has_begun(account)
    ended = account.status == Status.CANCELED and _has_begun(before) and not before.cancel_at_period_end
    return planned or ended


def trial_ending(account: BillingAccount, *, amount: int | None) -> None:
    """Notify of a trial's end, some days before, when Stripe says so.

    Once for each end, thanks to the lock on the account's row that callers hold. `amount` is what will be charged then;
    None: the plan's price, as far as it is known.
    """
    if account.status != Status.TRIALING or account.cancel_at_period_end or account.trial_end is None:
        return
    detail = _subscription(account)
    detail["amount"] = detail["amount"] if amount is None else amount
    if not _was_told(Event.TRIAL_ENDING, account.pk, trial_end=detail["trial_end"]):
        events.emit("subscription.trial_ending", user_id=account.pk, data=detail)
        _tell(Event.TRIAL_ENDING, account.pk, detail)


def subscribed_twice(account: BillingAccount, *, subscription: str) -> None:
    """Notify that two subscriptions were paid for, and that this one will not renew. Once, by the account's lock."""
    if not _was_told(Event.SUBSCRIBED_TWICE, account.pk, ending=subscription):
        detail = {**_subscription(account), "ending": subscription}
        events.emit("subscription.duplicated", user_id=account.pk, data=detail)
        _tell(Event.SUBSCRIBED_TWICE, account.pk, detail)


def card_expiring(account: BillingAccount, *, card: Detail) -> None:
    """Notify that the card of the next payment expires. `card`: payment_method, brand, last4, exp_month, exp_year.

    Once for each card and date, thanks to the lock on the account's row that callers hold.
    """
    known = {name: card[name] for name in ("payment_method", "exp_month", "exp_year")}
    if not _was_told(Event.CARD_EXPIRING, account.pk, **known):
        events.emit("card.expiring", user_id=account.pk, data=card)
        _tell(Event.CARD_EXPIRING, account.pk, {**_subscription(account), **card})


def _subscription(account: BillingAccount) -> Detail:
    plan = account.plan
    return {
        "subscription": account.subscription,
        "status": account.status,
        "plan": plan.code if plan else None,
        "name": plan.name if plan else None,
        "next_plan": account.next_plan.code if account.next_plan else None,
        "next_name": account.next_plan.name if account.next_plan else None,
        "next_amount": account.next_plan.amount if account.next_plan else None,
        "amount": plan.amount if plan else None,
        "currency": plan.currency if plan else None,
        "current_period_end": written(account.current_period_end),
        "cancel_at_period_end": account.cancel_at_period_end,
        "cancel_at": written(account.cancel_at),
        "trial_end": written(account.trial_end),
    }


# ---------------------------------------------------------------- notifying


def _tell(event: Event, user_id: uuid.UUID, detail: Detail) -> None:
    """Record and mail an event, unless the account is gone."""
    user = User.objects.filter(pk=user_id).exclude(status=User.Status.DELETED).first()
    if user is not None:
        row = audit.record(event, user_id=user_id, actor="stripe", detail=detail)
        mail.notify(MAILS[event], user=user, event=row)


def _was_told(event: Event, user_id: uuid.UUID, **about: Any) -> bool:
    return AuditEvent.objects.filter(user=user_id, type=event, detail__contains=about).exists()
