"""What the Celery worker does for billing. Each may run twice, or at the same time as itself."""

from datetime import UTC, datetime

import structlog
from celery import shared_task

from billing.settlement import expiring_cards
from billing.stripe_sync import changes, inbox, reconcile

log = structlog.get_logger("billing")


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
def settle_customer(customer: str) -> int:
    return reconcile.settle_customer(customer)


@shared_task
def reconcile_nightly() -> None:
    reconcile.nightly()


@shared_task
def reconcile_window(start: float, end: float) -> int:
    """An hour of the nightly round. Each difference is a warning in the log."""
    differences = reconcile.reconcile(
        start=datetime.fromtimestamp(start, tz=UTC), end=datetime.fromtimestamp(end, tz=UTC)
    )
    count = 0
    for difference in differences:
        log.warning("payment_was_not_right", **difference.as_json())
        count += 1
    return count


@shared_task
def tell_of_expiring_cards() -> None:
    expiring_cards.tell(datetime.now(UTC).date())
