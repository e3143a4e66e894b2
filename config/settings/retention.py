"""Says how long each kind of row is kept, counted from its end (docs/retention.md)."""

from datetime import timedelta

# accounts/upkeep/retention.py has a rule for each, and RETENTION_RULES names those of other apps.
RETENTION = {
    "unverified_users": timedelta(days=30),  # without credits and without a live session; from registration
    "registrations": timedelta(days=30),  # confirmed or void
    "sessions": timedelta(days=90),  # ended, or not used until they ran out
    "admin_sessions": timedelta(0),
    "mail_tokens": timedelta(days=30),  # used, void or expired
    "address_changes": timedelta(days=30),  # that cannot be undone any more
    "sent_mails": timedelta(days=30),
    "dead_mails": timedelta(days=90),
    "mfa_tokens": timedelta(days=1),  # half sign-ins that ran out
    "passkey_challenges": timedelta(days=1),  # that ran out
    "totp_enrolments": timedelta(days=1),  # that nobody confirmed
    "used_totp_steps": timedelta(days=1),  # minutes after which no code of theirs is accepted anyway
    "factor_resets": timedelta(days=400),  # done or cancelled
    "audit": timedelta(days=400),
    "delivered_events": timedelta(days=30),
    "dead_events": timedelta(days=90),
    "events": timedelta(days=90),  # but never one whose delivery is still open
    "spent_proofs": timedelta(0),
    "exchange_codes": timedelta(days=1),
    "rate_limits": timedelta(0),
    "stripe_events": timedelta(days=30),  # carried out
    "dead_stripe_events": timedelta(days=90),
    "mirrored_events": timedelta(days=30),  # dj-stripe's copies
    "billing_requests": timedelta(days=30),  # and with them their idempotency keys
    "customer_changes": timedelta(days=30),  # that Stripe was told, or that were given up
}
RETENTION_RULES = {
    "stripe_events": "billing.personal.old_events",
    "dead_stripe_events": "billing.personal.old_dead_events",
    "mirrored_events": "billing.personal.old_mirrored_events",
    "billing_requests": "billing.personal.old_requests",
    "customer_changes": "billing.personal.old_changes",
}
