"""The kinds of mail: what each shows, and when there is nothing left to send.

A mail never contains text typed by a stranger, such as a display name or a user agent. Subjects are fixed. Links start
with FRONTEND_URL, or else PUBLIC_BASE_URL, whatever host a request named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts.kit import brand, devices, email_address, typed_codes
from accounts.mail import tokens
from accounts.mail.terms import terms, terms_of_factors
from accounts.models import MailToken, OutboxMessage, User

VERIFY_EMAIL = "verify_email"
ADDRESS_TAKEN = "address_taken"
ADDRESS_CONTESTED = "address_contested"
PASSWORD_TO_CHOOSE = "password_to_choose"  # noqa: S105
PASSWORD_RESET_LINK = "password_reset_link"  # noqa: S105
EMAIL_CHANGE_NOTICE = "email_change_notice"
EMAIL_CHANGE_CONFIRM = "email_change_confirm"
EMAIL_CHANGE_TAKEN = "email_change_taken"
EMAIL_CHANGED = "email_changed"
ADDRESS_RESTORED = "address_restored"
ADDRESS_RESERVED = "address_reserved"
FACTOR_RESET_STARTED = "factor_reset_started"
# Security notices about something that has happened. They go to the verified address, and no budget holds them back.
NEW_DEVICE = "new_device"
REFRESH_REUSED = "refresh_reused"
PASSWORD_CHANGED = "password_changed"  # noqa: S105
PASSWORD_WAS_RESET = "password_was_reset"  # noqa: S105
PROOFS_EXHAUSTED = "proofs_exhausted"
DELETION_SCHEDULED = "deletion_scheduled"
MFA_ENABLED = "mfa_enabled"
MFA_DISABLED = "mfa_disabled"
FACTOR_ADDED = "factor_added"
FACTOR_REMOVED = "factor_removed"
RECOVERY_CODE_USED = "recovery_code_used"
RECOVERY_CODES_MADE = "recovery_codes_made"
FACTORS_GUESSED = "factors_guessed"
PAUSE_LIFTED = "pause_lifted"
PASSKEY_COPIED = "passkey_copied"
FACTOR_RESET_DONE = "factor_reset_done"
GOOGLE_LINKED = "google_linked"
GOOGLE_UNLINKED = "google_unlinked"
# Notices about money. The event's `detail` says what was paid or refunded, or is about to end.
PURCHASE = "purchase"
RENEWAL = "renewal"
PAYMENT_FAILED = "payment_failed"
PURCHASE_FAILED = "purchase_failed"
REFUND = "refund"
DISPUTE = "dispute"
TRIAL_ENDING = "trial_ending"
CANCELLATION = "cancellation"
SUBSCRIBED_TWICE = "subscribed_twice"
PLAN_CHANGED = "plan_changed"
CHANGE_PENDING = "change_pending"
CHANGE_EXPIRED = "change_expired"
CARD_EXPIRING = "card_expiring"
# Notices to staff about a request that a second person must decide.
ADJUSTMENT_WAITS = "adjustment_waits"
REFUND_WAITS = "refund_waits"

# Requests for an address that may be nobody's, and the mail that answers each if it is someone's.
VERIFICATION_REQUESTED = "verification_requested"
RESET_REQUESTED = "password_reset_requested"
RESET_REQUESTED_AT_HOME = (
    "password_reset_requested_at_home"  # from a network where the account was seen recently
)
ANSWERED_BY = {
    VERIFICATION_REQUESTED: VERIFY_EMAIL,
    RESET_REQUESTED: PASSWORD_RESET_LINK,
    RESET_REQUESTED_AT_HOME: PASSWORD_RESET_LINK,
}

BILLING_PAGE = "billing"  # on the front end; we have none
OF_STAFF = frozenset({ADJUSTMENT_WAITS, REFUND_WAITS})  # their links lead to the admin


@dataclass(frozen=True)
class Kind:
    """A kind of mail: its subject, the page that its link leads to, and whether a stranger can cause it."""

    subject: Any  # lazily translated
    page: str
    by_strangers: bool


KINDS = {
    VERIFY_EMAIL: Kind(_("Confirm your email address"), "verify-email", by_strangers=True),
    ADDRESS_TAKEN: Kind(_("You already have an account"), "password-reset", by_strangers=True),
    ADDRESS_CONTESTED: Kind(_("Choose your password"), "password-reset", by_strangers=False),
    PASSWORD_TO_CHOOSE: Kind(_("Choose your password"), "password-reset", by_strangers=False),
    PASSWORD_RESET_LINK: Kind(_("Choose a new password"), "password-reset", by_strangers=True),
    EMAIL_CHANGE_NOTICE: Kind(
        _("A change of your email address was requested"), "undo-email-change", by_strangers=False
    ),
    EMAIL_CHANGE_CONFIRM: Kind(
        _("Confirm your new email address"), "confirm-email-change", by_strangers=True
    ),
    EMAIL_CHANGE_TAKEN: Kind(_("This address cannot be used"), "confirm-email-change", by_strangers=True),
    EMAIL_CHANGED: Kind(_("Your email address was changed"), "undo-email-change", by_strangers=False),
    ADDRESS_RESTORED: Kind(_("Your address is back"), "password-reset", by_strangers=False),
    FACTOR_RESET_STARTED: Kind(
        _("Your second factor will be removed"), "cancel-mfa-reset", by_strangers=False
    ),
    ADDRESS_RESERVED: Kind(_("This address is still reserved"), "verify-email", by_strangers=True),
}
RESET_PAGE = "password-reset-request"
NOTICES = {
    NEW_DEVICE: Kind(_("New sign-in to your account"), "password-reset-request", by_strangers=False),
    REFRESH_REUSED: Kind(_("We have ended a session"), "password-reset-request", by_strangers=False),
    PASSWORD_CHANGED: Kind(_("Your password was changed"), "password-reset-request", by_strangers=False),
    PASSWORD_WAS_RESET: Kind(_("You have a new password"), "password-reset-request", by_strangers=False),
    DELETION_SCHEDULED: Kind(_("Your account will be deleted"), "password-reset-request", by_strangers=False),
    GOOGLE_LINKED: Kind(_("Google sign-in is now linked"), "password-reset-request", by_strangers=False),
    GOOGLE_UNLINKED: Kind(_("Google was unlinked"), "password-reset-request", by_strangers=False),
    PROOFS_EXHAUSTED: Kind(
        _("Someone is guessing your password"), "password-reset-request", by_strangers=False
    ),
    MFA_ENABLED: Kind(_("Two-step sign-in is on"), RESET_PAGE, by_strangers=False),
    MFA_DISABLED: Kind(_("Two-step sign-in is off"), RESET_PAGE, by_strangers=False),
    FACTOR_ADDED: Kind(_("A second factor was added"), RESET_PAGE, by_strangers=False),
    FACTOR_REMOVED: Kind(_("A second factor was removed"), RESET_PAGE, by_strangers=False),
    RECOVERY_CODE_USED: Kind(_("A recovery code was used"), RESET_PAGE, by_strangers=False),
    RECOVERY_CODES_MADE: Kind(_("You have new recovery codes"), RESET_PAGE, by_strangers=False),
    FACTORS_GUESSED: Kind(_("Someone is guessing your second factor"), RESET_PAGE, by_strangers=False),
    PAUSE_LIFTED: Kind(_("You can sign in again"), RESET_PAGE, by_strangers=False),
    PASSKEY_COPIED: Kind(_("One of your passkeys may have been copied"), RESET_PAGE, by_strangers=False),
    FACTOR_RESET_DONE: Kind(_("Your second factor has been removed"), RESET_PAGE, by_strangers=False),
    PURCHASE: Kind(_("Thank you for your purchase"), BILLING_PAGE, by_strangers=False),
    RENEWAL: Kind(_("Your subscription was renewed"), BILLING_PAGE, by_strangers=False),
    PAYMENT_FAILED: Kind(_("Your payment failed"), BILLING_PAGE, by_strangers=False),
    PURCHASE_FAILED: Kind(_("Your purchase was not paid"), BILLING_PAGE, by_strangers=False),
    REFUND: Kind(_("Your payment was refunded"), BILLING_PAGE, by_strangers=False),
    DISPUTE: Kind(_("Your payment is disputed"), BILLING_PAGE, by_strangers=False),
    TRIAL_ENDING: Kind(_("Your trial is about to end"), BILLING_PAGE, by_strangers=False),
    SUBSCRIBED_TWICE: Kind(_("You have two subscriptions"), BILLING_PAGE, by_strangers=False),
    PLAN_CHANGED: Kind(_("Your plan change"), BILLING_PAGE, by_strangers=False),
    CHANGE_PENDING: Kind(_("Confirm your change of plan"), BILLING_PAGE, by_strangers=False),
    CHANGE_EXPIRED: Kind(_("Your plan has not changed"), BILLING_PAGE, by_strangers=False),
    CANCELLATION: Kind(_("Your subscription ends"), BILLING_PAGE, by_strangers=False),
    CARD_EXPIRING: Kind(_("Your card is about to expire"), BILLING_PAGE, by_strangers=False),
    ADJUSTMENT_WAITS: Kind(
        _("An adjustment needs your approval"), "admin/credits/adjustmentrequest", by_strangers=False
    ),
    REFUND_WAITS: Kind(_("A refund needs your approval"), "admin/billing/refundrequest", by_strangers=False),
}


def compose(message: OutboxMessage) -> EmailMultiAlternatives | None:
    """Return the mail of an outbox row, the same on every attempt; None if there is nobody to write to, or no need."""
    if message.kind in NOTICES:
        return _compose_notice(message)
    token = message.token
    if token is None or token.used_at or token.voided_at:
        return None
    return _render(message, KINDS[message.kind], to=token.email, context=_about_token(message, token))


def is_by_strangers(kind: str) -> bool:
    kind = ANSWERED_BY.get(kind, kind)
    return kind in KINDS and KINDS[kind].by_strangers


def budget(message: OutboxMessage) -> list[str]:
    """Return the RATE_LIMITS rules that protect the recipient's mailbox; none for mails that no stranger can cause.

    A request with an event was ordered by staff, and has none either.
    """
    if message.kind == RESET_REQUESTED_AT_HOME:
        return ["resets_at_home"]
    if not is_by_strangers(message.kind) or message.event_id is not None:
        return []
    is_reset = PASSWORD_RESET_LINK in (message.kind, ANSWERED_BY.get(message.kind))
    return ["mails_by_strangers"] if is_reset else ["mails_but_resets", "mails_by_strangers"]


def is_only_asked_for(message: OutboxMessage) -> bool:
    """Return whether the message is a request that led to no mail."""
    return message.kind not in KINDS and message.kind not in NOTICES


def mailbox_of(message: OutboxMessage) -> str:
    return email_address.mailbox(message.token.email if message.token else message.requested_email)


def page_address(page: str) -> str:
    """Return the URL of the front end's page of this name, or of our own page at the path of the endpoint."""
    return f"{settings.FRONTEND_URL or settings.PUBLIC_BASE_URL + '/v1/auth'}/{page}"


def notice_link(kind: Kind) -> str:
    """Return the link of a notice; empty if only a front end would have the page, and there is none."""
    return page_address(kind.page) if kind.page != BILLING_PAGE or settings.FRONTEND_URL else ""


def staff_link(kind: Kind, detail: Mapping[str, Any]) -> str:
    """Return the URL of the request's page in the admin; empty if ADMIN_BASE_URL is not set."""
    return (
        f"{settings.ADMIN_BASE_URL}/{kind.page}/{detail['request']}/change/"
        if settings.ADMIN_BASE_URL
        else ""
    )


def link(page: str, token: MailToken, *, use: str = tokens.LINK) -> str:
    return f"{page_address(page)}?{urlencode({'token': tokens.link_token(token, use=use)})}"


def language_of(user: User | None) -> str:
    return user.locale if user is not None and user.locale in settings.MAIL_LANGUAGES else "en"


def _refuse_link(token: MailToken) -> str:
    """Return the link that refuses the registration behind this token; empty if there is none."""
    return link("refuse-registration", token, use=tokens.REFUSE) if token.registration_id else ""


def _about_token(message: OutboxMessage, token: MailToken) -> dict[str, Any]:
    return {
        "link": link(KINDS[message.kind].page, token),
        "refuse_link": _refuse_link(token),
        "code": typed_codes.grouped(tokens.code(token)),
        "account": email_address.masked(token.change.old_email if token.change else token.email),
        "contested": message.user is not None and message.user.contested_at is not None,
    }


def _compose_notice(message: OutboxMessage) -> EmailMultiAlternatives | None:
    """Render a notice. Time and place are the event's; the device is named from a fixed list of ours."""
    event, kind = message.event, NOTICES[message.kind]
    if event is None or not message.requested_email:
        return None
    with translation.override(language_of(message.user)):
        context = {
            "link": staff_link(kind, event.detail) if message.kind in OF_STAFF else notice_link(kind),
            "detail": event.detail,
            "at": event.created_at,
            "ip": event.ip,
            "device": devices.describe(event.user_agent),
            "deletes_at": message.user.deletes_at if message.user else None,
            **(terms_of_factors() if message.kind == FACTORS_GUESSED else {}),
        }
    return _render(message, kind, to=message.requested_email, context=context)


def _render(
    message: OutboxMessage, kind: Kind, *, to: str, context: dict[str, Any]
) -> EmailMultiAlternatives:
    with translation.override(language_of(message.user)):
        everywhere = {**brand.context(), "subject": str(kind.subject), **terms(), **context}
        text = render_to_string(f"mail/{message.kind}.txt", everywhere)
        mail = EmailMultiAlternatives(
            subject=str(kind.subject),
            body=text + render_to_string("mail/footer.txt", everywhere),
            to=[to],
            reply_to=[settings.MAIL_REPLY_TO] if settings.MAIL_REPLY_TO else None,
            headers={"Message-ID": _message_id(message), "Auto-Submitted": "auto-generated"},
        )
        mail.attach_alternative(render_to_string(f"mail/{message.kind}.html", everywhere), "text/html")
    return mail


def _message_id(message: OutboxMessage) -> str:
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    return f"<{message.pk}@{domain}>"
