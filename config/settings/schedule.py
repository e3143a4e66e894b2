"""The tasks that Celery beat starts, and when. It is built lazily: importing Celery takes longer than most commands'
work.
"""

from typing import Any

from django.utils.functional import SimpleLazyObject


def _every(seconds: int, task: str) -> dict[str, object]:
    """Return the entry of a task whose run is dropped if it has not started before the next one is due.

    `good_for` belongs to config/background.py: Celery's own `expires` is a time by one host's clock, and wrong on
    another.
    """
    return {"task": task, "schedule": float(seconds), "options": {"good_for": seconds}}


def _hourly(minute: int, task: str) -> dict[str, object]:
    return {"task": task, "schedule": _crontab(minute=minute), "options": {"good_for": 3600}}


def _daily(hour: int, minute: int, task: str) -> dict[str, object]:
    """Return the entry of a task that runs once a day, at a UTC time, however late it starts."""
    return {"task": task, "schedule": _crontab(hour=hour, minute=minute)}


def _crontab(**times: int) -> object:
    from celery.schedules import crontab

    return crontab(**times)


def _schedule() -> dict[str, dict[str, object]]:
    return {
        "relay-outbox": _every(5, "accounts.tasks.relay_outbox"),
        "send-events": _every(5, "accounts.tasks.send_events"),
        "purge-rate-limits": _every(600, "accounts.tasks.purge_rate_limits"),
        "erase-closed-accounts": _every(600, "accounts.tasks.erase_closed_accounts"),
        "apply-factor-resets": _every(60, "accounts.tasks.apply_factor_resets"),
        "purge": _hourly(40, "accounts.tasks.purge"),
        "summarize-account-days": _every(120, "accounts.tasks.summarize_days"),
        "sweep-due-credits": _every(30, "credits.tasks.sweep_due_credits"),
        "summarize-credit-days": _every(60, "credits.tasks.summarize_days"),
        "rank-credit-users": _every(300, "credits.tasks.rank_users"),
        "work-stripe-inbox": _every(5, "billing.tasks.work_inbox"),
        "carry-out-customer-changes": _every(15, "billing.tasks.carry_out_changes"),
        "reconcile-stripe-events": _every(600, "billing.tasks.reconcile_events"),
        "reconcile-stripe-nightly": _daily(2, 10, "billing.tasks.reconcile_nightly"),
        "tell-of-expiring-cards": _daily(9, 40, "billing.tasks.tell_of_expiring_cards"),
        "expire-adjustment-requests": _daily(3, 10, "credits.tasks.expire_adjustment_requests"),
        "expire-refund-requests": _daily(3, 15, "billing.tasks.expire_refund_requests"),
        "verify-ledger": _daily(3, 20, "credits.tasks.verify_ledger_nightly"),
    }


CELERY_BEAT_SCHEDULE: Any = SimpleLazyObject(_schedule)
