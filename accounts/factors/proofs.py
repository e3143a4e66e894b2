"""Wrong second factors: counted per account, whatever the door, and before anything is compared.

Ten bring a pause of fifteen minutes and a mail; each ten more a longer one; a hundred in a row are all there are (NIST
SP 800-63B-4, 3.2.2). What is tried in a session brings pauses to that session alone, and is no more than half of the
hundred, so a thief of it does not keep its owner from signing in. A right password gives none of them back: who
guesses factors has it. A right factor does. A reset of the password ends the pause, once a week, and leaves the count:
who has taken the mailbox gains ten tries by it. A passkey cannot be guessed: its answers are neither counted nor kept
waiting.
"""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db import transaction

from accounts import audit, mail
from accounts.audit import Event
from accounts.errors import MFAInvalidCode
from accounts.kit import throttles
from accounts.kit.client import Client
from accounts.kit.problems import RateLimited
from accounts.kit.throttles import Hit
from accounts.models import User

Result = TypeVar("Result")


class FactorWrong(Exception):
    """The try was judged and is wrong; it stays counted."""

    default_code = MFAInvalidCode.default_code


def judged(
    user: User,
    attempt: Callable[[], Result | None],
    *,
    client: Client,
    session_id: UUID | None = None,
    is_own: bool = True,
    guessable: bool = True,
) -> Result:
    """Return what the attempt returns; None says that it was wrong. Raises FactorWrong, RateLimited, and what it
    raises.

    `is_own`: the attempt showed a factor that the account has, and so ends the row of wrong ones. Confirming a new one
    does not: anyone who enrols one knows its secret. `guessable`: false of a passkey's answer.
    """
    wrong = _in_a_row(user.pk, session_id) if guessable else ()
    left = throttles.take(*wrong)
    try:
        result = attempt()
    except BaseException:
        throttles.give_back(*wrong)
        raise
    if result is None:
        _note(user, client, session_id, announce=_ends_a_row(left))
        raise FactorWrong
    if is_own:
        forget(user.pk, session_id)
    else:
        throttles.give_back(*wrong)
    return result


def forget(user_id: UUID, *session_ids: UUID | None) -> None:
    """Start the count and the pauses afresh, those of signing in and those of these sessions."""
    throttles.forget(*{hit for one in (None, *session_ids) for hit in _in_a_row(user_id, one)})


def end_pause_after_reset(user_id: UUID) -> None:
    """End the pause that the account is in, if there was no other such reset within the week; the count stays."""
    pauses, _ = _in_a_row(user_id)
    if not throttles.is_delayed(pauses):
        return
    try:
        throttles.take(throttles.hit("pause_ended_by_reset", str(user_id)))
    except RateLimited:
        return
    throttles.forget(pauses)


def _in_a_row(user_id: UUID, session_id: UUID | None = None) -> tuple[Hit, Hit]:
    """Return the hit that brings pauses, in a session to it alone, and the one of how many there may be at all."""
    signing_in = throttles.hit("factor_pauses", str(user_id))
    pauses = signing_in if session_id is None else throttles.hit("session_factor_pauses", str(session_id))
    return pauses, throttles.hit("wrong_factors", str(user_id))


def _ends_a_row(left: int | None) -> bool:
    """Return whether this was the tenth wrong one, the twentieth and so on."""
    pauses, in_a_row = throttles.hit("factor_pauses"), throttles.hit("wrong_factors")
    return left is not None and (in_a_row.allowed - left) % pauses.free == 0


@transaction.atomic
def _note(user: User, client: Client, session_id: UUID | None, *, announce: bool) -> None:
    event = audit.record(Event.FACTOR_WRONG, user_id=user.pk, session_id=session_id, client=client)
    if announce:
        mail.notify(mail.FACTORS_GUESSED, user=user, event=event)
