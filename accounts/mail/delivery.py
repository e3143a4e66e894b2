"""Send the messages in the outbox: each at least once, with the same Message-ID on every attempt.

A worker takes a message under a lease that expires, so a killed worker delays its message by seconds. Failures are
retried with growing delays; after eight attempts the message is a dead letter. If the server defers a recipient or a
text (4xx: greylisting, a full mailbox), or is lost while it takes the message, the message is retried after minutes and
holds up no other. An unreachable server costs no attempt, but after a day the message is dead all the same: its links
have expired.
"""

import smtplib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from uuid import UUID

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from django.core.mail import EmailMessage, get_connection

from accounts.kit import clock, throttles
from accounts.kit.problems import RateLimited
from accounts.kit.resting import Rest
from accounts.mail import kinds
from accounts.mail.outbox import queue
from accounts.models import OutboxMessage

SECONDS_TO_SEND = 15  # the task's soft limit, shorter than the lease, so that no second worker joins in
GIVE_UP_AFTER = timedelta(days=1)
CLOSING = 421
CUT_OFF = (smtplib.SMTPServerDisconnected, ConnectionError, TimeoutError, SoftTimeLimitExceeded)
FIRST_DELAY_OF_OUTAGE, LONGEST_DELAY_OF_OUTAGE = 5.0, 60.0

log = structlog.get_logger(__name__)


class Failure(Enum):
    """The party or message at fault for a failed delivery."""

    SERVER_AWAY = "server_away"
    PUT_OFF = "put_off"
    REFUSED_FOR_GOOD = "refused_for_good"
    THIS_MESSAGE = "this_message"


class CutOff(Exception):
    """The server was lost after it had taken the connection, perhaps because of the message."""


# Greylisting servers want five minutes or more (RFC 6647, 2.1): six hours in all.
patient = replace(queue, first_delay=60, longest_delay=3600, tries=12)
rest = Rest(5.0)  # the mail server's, one per process like the connection


def deliver(message_id: UUID, *, resolve: Callable[[OutboxMessage], None]) -> None:
    """Send one message unless it is sent, dead or leased by another worker. Failures to send are recorded, not raised.

    `resolve` turns a mere request into the mail that answers it.
    """
    if queue.claim_this(message_id) is None:
        return
    message = OutboxMessage.objects.select_related("user", "token", "token__registration", "event").get(
        pk=message_id
    )
    if not rest.is_over():
        queue.put_off(message, seconds=rest.seconds, reason="the mail server was away a moment ago")
        return
    try:
        reason = _carry_out(message, resolve)
    except Exception as error:  # noqa: BLE001  one message must never stop the others, whatever is wrong with it
        _failed(message, error)
        return
    if kinds.is_only_asked_for(message):
        # Delete it, because it may hold anyone's address.
        OutboxMessage.objects.filter(pk=message.pk, sent_at=None).delete()
        log.info("mail_request_led_nowhere", message=str(message.pk), kind=message.kind, reason=reason)
    else:
        queue.finish(message, leased_until=None, requested_email="", last_error=reason)


def _carry_out(message: OutboxMessage, resolve: Callable[[OutboxMessage], None]) -> str:
    """Send the message; return the reason if there was nothing to send, otherwise an empty string.

    Mails that anyone can cause are counted per mailbox before a link is made, so that an unsent mail voids no older
    link.
    """
    budget = [throttles.hit(rule, kinds.mailbox_of(message)) for rule in kinds.budget(message)]
    try:
        throttles.take(*budget)
    except RateLimited:
        return "over the mailbox's hourly budget"
    try:
        resolve(message)
        mail = kinds.compose(message)
        if mail is not None:
            _send(mail)
            return ""
    except BaseException:
        throttles.give_back(*budget)
        raise
    throttles.give_back(*budget)
    return "nothing to send"


def _send(mail: EmailMessage) -> None:
    """Send the mail. Raise CutOff if the server is lost after it took the connection."""
    with get_connection() as mail.connection:
        try:
            mail.send()
        except CUT_OFF as error:
            raise CutOff from error


def _failed(message: OutboxMessage, error: Exception) -> None:
    failure, reason = judge(error), _describe(error)
    age = clock.now() - message.created_at
    log.warning(
        "mail_not_sent", message=str(message.pk), kind=message.kind, reason=reason, tries=message.attempts
    )
    if failure is Failure.SERVER_AWAY and age < GIVE_UP_AFTER:
        rest.begin()
        seconds = min(max(age.total_seconds() / 2, FIRST_DELAY_OF_OUTAGE), LONGEST_DELAY_OF_OUTAGE)
        queue.put_off(message, seconds=seconds, reason=reason)
    elif failure is Failure.PUT_OFF:
        patient.fail(message, reason)
    else:
        queue.fail(message, reason, for_good=failure is not Failure.THIS_MESSAGE)


def judge(error: Exception) -> Failure:
    """Classify a failure by RFC 5321, 4.2.1: 4xx may pass later, 5xx will not.

    Until a recipient is named, 4xx is about the server.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _by_code(min(code for code, _ in error.recipients.values()))
    if isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPConnectError | smtplib.SMTPHeloError):
        return Failure.SERVER_AWAY
    if isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code < 500:
        return Failure.SERVER_AWAY
    if isinstance(error, smtplib.SMTPResponseException):
        return _by_code(error.smtp_code)
    away = isinstance(error, smtplib.SMTPServerDisconnected | OSError | SoftTimeLimitExceeded)
    if away and not isinstance(error, smtplib.SMTPNotSupportedError):
        return Failure.SERVER_AWAY
    return Failure.PUT_OFF if isinstance(error, CutOff) else Failure.THIS_MESSAGE


def _by_code(code: int) -> Failure:
    """Classify a reply code. 421 always concerns the server: it closes the connection (RFC 5321, 3.8)."""
    if code >= 500:
        return Failure.REFUSED_FOR_GOOD
    return Failure.SERVER_AWAY if code == CLOSING else Failure.PUT_OFF


def _describe(error: Exception) -> str:
    """Return the kind of error and the server's code, never its text, because servers repeat addresses."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"{type(error).__name__} {min(code for code, _ in error.recipients.values())}"
    code = getattr(error, "smtp_code", "")
    return f"{type(error).__name__} {code}".strip()
