"""Count wrong second factors per account, at every entry point, and before anything is compared.

Ten wrong ones cause a pause of fifteen minutes and a mail, each further ten a longer pause, and a hundred in a row are
the limit (NIST SP 800-63B-4, 3.2.2). Attempts made in a session pause only that session, and make up at most half of
the hundred, so a thief of the session cannot keep its owner from signing in. A right password gives none of them back,
because an attacker who guesses factors knows it; a right factor does. A password reset ends the pause, once a week, but
keeps the count, so that an attacker in control of the mailbox gains ten attempts. A passkey cannot be guessed, so its
responses are neither counted nor delayed.
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
    """The attempt was checked and is wrong; it stays counted."""

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
    """Return the attempt's result, of which None means wrong. Raise FactorWrong, RateLimited, and what it raises.

    `is_own`: the attempt shows a factor that the account already has, and so ends the run of wrong ones. Confirming a
    new one does not, because anyone who enrols one knows its secret. `guessable`: False for a passkey's response.
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
    """Reset the count and the pauses of signing in and of these sessions."""
    throttles.forget(*{hit for one in (None, *session_ids) for hit in _in_a_row(user_id, one)})


def end_pause_after_reset(user_id: UUID) -> None:
    """End the account's current pause, unless another reset did so within the week. The count stays."""
    pauses, _ = _in_a_row(user_id)
    if not throttles.is_delayed(pauses):
        return
    try:
        throttles.take(throttles.hit("pause_ended_by_reset", str(user_id)))
    except RateLimited:
        return
    throttles.forget(pauses)


def _in_a_row(user_id: UUID, session_id: UUID | None = None) -> tuple[Hit, Hit]:
    """Return the hit that causes pauses (in a session, only of that session), and the hit that limits the total."""
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
