"""The Celery worker's tasks for credits, run at the times in CELERY_BEAT_SCHEDULE.

Each may run twice, or concurrently with itself. None runs longer than the queue waits for an acknowledgement.
"""

import time
import uuid

import structlog

from accounts.kit.tasks import shared_task
from credits import adjustments, days
from credits.ledger import sweeping, verify

log = structlog.get_logger("ledger")
SWEEPING_SECONDS = 25
VERIFYING_SECONDS = 60
NAMED_FINDINGS = 100


@shared_task
def sweep_due_credits() -> int:
    """Post what has come due for idle users, until nothing is left or the next run is near."""
    return sweeping.sweep_due(seconds=SWEEPING_SECONDS)


@shared_task
def summarize_days() -> int:
    return days.summarize()


@shared_task
def expire_adjustment_requests() -> int:
    return adjustments.expire()


@shared_task
def rank_users() -> None:
    days.rank_users()


@shared_task
def verify_ledger_nightly(
    after: str | None = None, users: int = 0, transactions: int = 0, findings: int = 0
) -> None:
    """Prove the whole ledger, a minute at a time: the rest continues after the last user, as a separate task.

    Each finding is logged as an event of level error, up to a hundred; the last event has the totals, and its level is
    error if there were any findings.
    """
    until = time.monotonic() + VERIFYING_SECONDS
    for checked in verify.verify_all(after=uuid.UUID(after) if after else None):
        users, transactions = users + len(checked.users), transactions + checked.transactions
        for finding in checked.findings[: max(0, NAMED_FINDINGS - findings)]:
            log.error(
                "ledger_finding", user_id=str(finding.user_id), place=finding.place, finding=finding.finding
            )
        findings += len(checked.findings)
        if checked.users and time.monotonic() > until:
            verify_ledger_nightly.delay(str(checked.users[-1]), users, transactions, findings)
            return
    verify.note(findings=findings)
    report = log.error if findings else log.info
    report("ledger_verified", users=users, transactions=transactions, findings=findings)
