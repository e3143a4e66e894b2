"""How long each kind of row is kept, counted from its end (docs/retention.md)."""

from config.settings.environment import duration
from config.settings.table import TABLE

# accounts/upkeep/retention.py has a rule for each, and RETENTION_RULES names those of other apps.
RETENTION = {
    name.removeprefix("RETENTION_").lower(): duration(name) for name in TABLE if name.startswith("RETENTION_")
}
RETENTION_RULES = {
    "stripe_events": "billing.personal.old_events",
    "dead_stripe_events": "billing.personal.old_dead_events",
    "mirrored_events": "billing.personal.old_mirrored_events",
    "billing_requests": "billing.personal.old_requests",
    "customer_changes": "billing.personal.old_changes",
}
