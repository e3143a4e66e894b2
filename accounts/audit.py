"""Record what happened to an account, in the transaction that did it.

Nothing else writes these rows, and every type is one of `Event`, including those of credits and billing.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any
from uuid import UUID

from accounts.kit.client import Client
from accounts.models import AuditEvent


class Event(StrEnum):
    """The types of event; users see their own (GET /v1/auth/me/activity), staff see all."""

    REGISTERED = "registered"
    REGISTRATION_OF_TAKEN = "registration_of_taken_address"
    EMAIL_VERIFIED = "email_verified"
    ADDRESS_CONTESTED = "address_contested"
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    REFRESH_REUSED = "refresh_token_reused"
    REFRESH_REPEATED = "refresh_token_repeated"  # after a minute, with the first attempt's key
    SIGNED_OUT = "signed_out"
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere"
    SESSION_ENDED = "session_ended"
    OTHER_SESSIONS_ENDED = "other_sessions_ended"
    REAUTHENTICATED = "reauthenticated"
    REAUTHENTICATION_FAILED = "reauthentication_failed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    PASSWORD_RESET = "password_reset"  # noqa: S105
    REGISTRATION_REFUSED = "registration_refused"
    USER_IMPORTED = "user_imported"
    PROFILE_CHANGED = "profile_changed"
    EMAIL_CHANGE_REQUESTED = "email_change_requested"
    EMAIL_CHANGED = "email_changed"
    EMAIL_CHANGE_UNDONE = "email_change_undone"
    ADDRESS_LOST = "address_lost"
    CONTESTED = "account_contested"
    CONTEST_SETTLED = "account_contest_settled"
    GOOGLE_LINKED = "google_linked"
    GOOGLE_UNLINKED = "google_unlinked"
    DELETION_REQUESTED = "deletion_requested"
    DELETION_CANCELLED = "deletion_cancelled"
    DATA_EXPORTED = "data_exported"
    FACTOR_ADDED = "second_factor_added"
    FACTOR_REMOVED = "second_factor_removed"
    FACTOR_WRONG = "second_factor_wrong"
    RECOVERY_CODE_USED = "recovery_code_used"
    RECOVERY_CODES_MADE = "recovery_codes_made"
    PASSKEY_COPIED = "passkey_counter_went_back"
    FACTOR_RESET_REQUESTED = "second_factor_reset_requested"
    FACTOR_RESET_CANCELLED = "second_factor_reset_cancelled"
    FACTOR_RESET_APPLIED = "second_factor_reset_applied"
    PAUSE_LIFTED = "sign_in_pause_lifted"
    STAFF_LINK_MADE = "staff_enrolment_link_made"
    MAIL_ORDERED = "mail_ordered"
    MAIL_SENT_AGAIN = "mail_sent_again"
    SUPERUSER_CREATED = "superuser_created"
    STAFF_CHANGED = "staff_roles_changed"
    SUSPENDED = "suspended"
    REACTIVATED = "reactivated"
    # What staff do with the keys and webhooks of services.
    SERVICE_KEY_CREATED = "service_key_created"
    SERVICE_KEY_ROTATED = "service_key_rotated"
    SERVICE_KEY_REVOKED = "service_key_revoked"
    FRONT_END_KEY_MADE = "front_end_key_made"
    FRONT_END_KEY_REVOKED = "front_end_key_revoked"
    SERVICE_KEY_BUDGETED = "service_key_budgeted"
    WEBHOOK_CREATED = "event_subscription_created"
    WEBHOOK_CHANGED = "event_subscription_changed"
    WEBHOOK_ROTATED = "event_subscription_rotated"
    WEBHOOK_RETIRED = "event_subscription_retired"
    WEBHOOK_GONE = "event_subscription_gone"
    EVENTS_SENT_AGAIN = "events_sent_again"
    # Payments, as reported by Stripe. `detail` says for what and how much; the mails read it.
    PURCHASED = "purchased"
    SUBSCRIPTION_RENEWED = "subscription_renewed"
    SUBSCRIPTION_CANCELED = "subscription_canceled"
    PAYMENT_FAILED = "payment_failed"
    PURCHASE_FAILED = "purchase_failed"
    PAYMENT_REFUNDED = "payment_refunded"
    PAYMENT_DISPUTED = "payment_disputed"
    TRIAL_ENDING = "trial_ending"
    CARD_EXPIRING = "card_expiring"
    SUBSCRIBED_TWICE = "subscribed_twice"
    SUBSCRIPTION_CHANGED = "subscription_changed"
    CHANGE_PENDING = "subscription_change_pending"
    CHANGE_EXPIRED = "subscription_change_expired"
    # What staff do with billing. The actor is the member of staff.
    REFUND_REQUESTED = "refund_requested"
    REFUND_APPROVED = "refund_approved"
    REFUND_REFUSED = "refund_refused"
    REFUND_ORDERED = "refund_ordered"
    CANCELLATION_ORDERED = "cancellation_ordered"
    SETTLEMENT_ORDERED = "settlement_ordered"
    PAYMENT_ASSIGNED = "payment_assigned"
    EVENT_REPLAYED = "stripe_event_replayed"
    PLAN_CHANGED = "plan_changed"
    # What staff do with credits. The actor is the member of staff.
    CREDITS_ADJUSTED = "credits_adjusted"
    ADJUSTMENT_REQUESTED = "credit_adjustment_requested"
    ADJUSTMENT_APPROVED = "credit_adjustment_approved"
    ADJUSTMENT_REFUSED = "credit_adjustment_refused"
    HOLD_RELEASED = "credit_hold_released"
    PRICE_CHANGED = "feature_price_changed"
    PRICE_REMOVED = "feature_price_removed"


def record(
    event: Event,
    *,
    user_id: UUID | None,
    client: Client | None = None,
    session_id: UUID | None = None,
    actor: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Record an event. `actor` says who did it, if not the user. `detail` must hold no address, name or secret."""
    seen = client or Client(None, "")
    return AuditEvent.objects.create(
        user_id=user_id,
        type=event,
        session_id=session_id,
        actor=actor,
        ip=seen.ip,
        asserted_ip=seen.asserted,
        user_agent=seen.user_agent,
        detail=detail or {},
    )


def record_each(event: Event, *, user_ids: Iterable[UUID], actor: str) -> None:
    """Record the same event for many users, in one statement."""
    AuditEvent.objects.bulk_create(
        [AuditEvent(user_id=user_id, type=event, actor=actor) for user_id in user_ids]
    )
