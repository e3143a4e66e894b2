"""Imported hashes that cost more than ours: they are dropped, and their owners mailed a link to set a password."""

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.db import transaction

from accounts import mail, passwords
from accounts.kit import pages
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import User


def ask_to_choose(user: User) -> None:
    """Mail the link. Call it in the transaction that drops the hash."""
    token = tokens.issue(Purpose.RESET, user_id=user.pk, email=user.email or "")
    mail.enqueue(mail.PASSWORD_TO_CHOOSE, user_id=user.pk, token=token)


def leave_behind(*, dry_run: bool) -> int:
    """Drop the hashes that an earlier version imported and no sign-in accepts any longer. Return how many.

    With `dry_run`, only count them.
    """
    with_password = (
        User.objects.exclude(email=None)
        .exclude(password="")
        .exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)
    )
    dear = (user for user in pages.by_key(with_password) if passwords.is_too_dear(user.password))
    return sum(dry_run or _leave_behind(user) for user in dear)


@transaction.atomic
def _leave_behind(user: User) -> bool:
    if User.objects.as_judged(user).update(password=make_password(None)) != 1:
        return False
    ask_to_choose(user)
    return True
