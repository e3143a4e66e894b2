"""The Celery tasks of accounts. Each may run twice, or concurrently with itself."""

from uuid import UUID

from accounts.events import dispatch
from accounts.factors import resets
from accounts.identity import erasure, mail_requests
from accounts.kit import throttles
from accounts.kit.tasks import shared_task
from accounts.mail import delivery, outbox
from accounts.upkeep import days, retention


@shared_task(soft_time_limit=delivery.SECONDS_TO_SEND, time_limit=outbox.queue.lease.seconds - 1)
def deliver(message_id: str) -> None:
    delivery.deliver(UUID(message_id), resolve=mail_requests.resolve)


@shared_task
def relay_outbox() -> None:
    outbox.relay()


@shared_task
def send_events() -> None:
    dispatch.send_events()


@shared_task
def purge_rate_limits() -> None:
    throttles.purge()


@shared_task
def erase_closed_accounts() -> None:
    erasure.erase_due()


@shared_task
def apply_factor_resets() -> None:
    resets.apply_due()


@shared_task
def purge() -> None:
    retention.purge()


@shared_task
def summarize_days() -> int:
    return days.summarize()
