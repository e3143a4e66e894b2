"""Lists the tasks that Celery beat starts, and when."""

from celery.schedules import crontab

CELERY_BEAT_SCHEDULE = {
    "relay-outbox": {"task": "accounts.tasks.relay_outbox", "schedule": 5.0, "options": {"expires": 5}},
    "send-events": {"task": "accounts.tasks.send_events", "schedule": 5.0, "options": {"expires": 5}},
    "purge-rate-limits": {
        "task": "accounts.tasks.purge_rate_limits",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "erase-closed-accounts": {
        "task": "accounts.tasks.erase_closed_accounts",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "apply-factor-resets": {
        "task": "accounts.tasks.apply_factor_resets",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "purge": {"task": "accounts.tasks.purge", "schedule": crontab(minute=40), "options": {"expires": 3600}},
    "summarize-account-days": {
        "task": "accounts.tasks.summarize_days",
        "schedule": 120.0,
        "options": {"expires": 120},
    },
    "sweep-due-credits": {
        "task": "credits.tasks.sweep_due_credits",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "summarize-credit-days": {
        "task": "credits.tasks.summarize_days",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "rank-credit-users": {
        "task": "credits.tasks.rank_users",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "work-stripe-inbox": {"task": "billing.tasks.work_inbox", "schedule": 5.0, "options": {"expires": 5}},
    "carry-out-customer-changes": {
        "task": "billing.tasks.carry_out_changes",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "reconcile-stripe-events": {
        "task": "billing.tasks.reconcile_events",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "reconcile-stripe-nightly": {
        "task": "billing.tasks.reconcile_nightly",
        "schedule": crontab(hour=2, minute=10),
    },
    "tell-of-expiring-cards": {
        "task": "billing.tasks.tell_of_expiring_cards",
        "schedule": crontab(hour=9, minute=40),
    },
    "verify-ledger": {
        "task": "credits.tasks.verify_ledger_nightly",
        "schedule": crontab(hour=3, minute=20),
    },
}
