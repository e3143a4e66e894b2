"""The Celery worker's tasks for billing. Each may run twice, or concurrently with itself."""

from datetime import UTC, datetime

from accounts.kit.tasks import shared_task
from billing import refunds
from billing.settlement import expiring_cards
from billing.shop import plan_sync
from billing.stripe_sync import changes, inbox, nightly, reconcile


@shared_task
def work_inbox() -> int:
    return inbox.work()


@shared_task
def carry_out_changes() -> int:
    return changes.carry_out()


@shared_task
def reconcile_events() -> None:
    reconcile.catch_up()
    reconcile.settle_open_lines()


@shared_task
def expire_refund_requests() -> int:
    return refunds.expire()


@shared_task
def settle_customer(customer: str) -> int:
    return reconcile.settle_customer(customer)


@shared_task
def reconcile_nightly() -> None:
    nightly.begin()
    plan_sync.warn_of_differences()


@shared_task
def reconcile_window(start: float, end: float) -> int:
    """Reconcile an hour of the nightly round, or what an earlier run left of it."""
    return nightly.look_at_hour(datetime.fromtimestamp(start, tz=UTC))


@shared_task
def compare_days() -> int:
    return nightly.compare_days()


@shared_task
def tell_of_expiring_cards() -> None:
    expiring_cards.tell(datetime.now(UTC).date())
