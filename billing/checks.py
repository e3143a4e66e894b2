"""System checks for billing settings that contradict one another."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks.registry import registry
from djstripe.checks import check_webhook_endpoint_has_secret, check_webhook_validation

from accounts.checks import TAG

KEY_PREFIXES = ("sk_live_", "sk_test_", "rk_live_", "rk_test_")
FREEZING = frozenset({"past_due", "unpaid", "paused"})
SHORTEST_SECRET = 16


def leave_out_those_of_unused_tables() -> None:
    """Remove dj-stripe's checks, which would read its table of endpoints before it exists: events use our own inbox."""
    registry.registered_checks -= {check_webhook_validation, check_webhook_endpoint_has_secret}


@register(TAG)
def stripe_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    if settings.STRIPE_SECRET_KEY and not settings.STRIPE_SECRET_KEY.startswith(KEY_PREFIXES):
        yield _error(1, "STRIPE_SECRET_KEY must be a secret or restricted key: sk_..., rk_...")
    if any(len(secret) < SHORTEST_SECRET for secret in settings.STRIPE_WEBHOOK_SECRETS):
        yield _error(2, f"STRIPE_WEBHOOK_SECRETS has one of under {SHORTEST_SECRET} characters.")
    if settings.STRIPE_WEBHOOK_SECRETS and not settings.STRIPE_SECRET_KEY:
        yield _error(3, "STRIPE_WEBHOOK_SECRETS is set without STRIPE_SECRET_KEY: no event could be settled.")
    if unknown := set(settings.BILLING_FREEZE_ON) - FREEZING:
        yield _error(
            4, f"BILLING_FREEZE_ON knows {', '.join(sorted(FREEZING))}; not {', '.join(sorted(unknown))}."
        )


def _error(number: int, text: str) -> Error:
    return Error(text, id=f"billing.E{number:03}")
