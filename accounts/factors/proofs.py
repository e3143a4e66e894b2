"""Wrong second factors: counted per account, whatever the door, and before anything is compared.

Ten bring a pause of fifteen minutes and a mail; each ten more a longer one; a hundred in a row are all there are (NIST
SP 800-63B-4, 3.2.2). A right password gives none of them back: who guesses factors has it. A right factor does.
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
) -> Result:
    """What the attempt returns; None says that it was wrong. Raises FactorWrong, RateLimited, and what it raises.

    `is_own`: the attempt showed a factor that the account has, and so ends the row of wrong ones. Confirming a new one
    does not: its secret is known to whoever enrols it.
    """
    wrong = throttles.hit("wrong_factors", str(user.pk))
    left = throttles.take(wrong)
    try:
        result = attempt()
    except BaseException:
        throttles.give_back(wrong)
        raise
    if result is None:
        _note(user, client, session_id, announce=_ends_a_row(wrong, left))
        raise FactorWrong
    (throttles.forget if is_own else throttles.give_back)(wrong)
    return result


def _ends_a_row(wrong: Hit, left: int | None) -> bool:
    return left is not None and (wrong.allowed - left) % wrong.free == 0


@transaction.atomic
def _note(user: User, client: Client, session_id: UUID | None, *, announce: bool) -> None:
    event = audit.record(Event.FACTOR_WRONG, user_id=user.pk, session_id=session_id, client=client)
    if announce:
        mail.notify(mail.FACTORS_GUESSED, user=user, event=event)
