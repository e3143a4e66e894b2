"""Accounts in every state, in the form in which registration and the following steps would have left them."""

import json
import secrets

from instance import Instance

STATES = (
    "active",
    "unverified",
    "suspended",
    "pending_deletion",
    "deleted",
    "imported",
    "imported_pbkdf2",
    "imported_argon2",
    "imported_dear",
    "without_password",
    "over_mail_budget",
)
ARMS = ("unknown", *STATES)

_MAKE = """
import json
import bcrypt
from argon2 import PasswordHasher
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.hashers import make_password
from django.db.models.functions import Now
from accounts import hooks
from accounts.kit import throttles
from accounts.passwords import imported
from accounts.kit.email_address import mailbox
from accounts.models import User
tag, count, password, states = {arguments!r}
ours = make_password(password)
theirs = {{
    "imported": imported.as_stored(bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()),
    "imported_pbkdf2": PBKDF2PasswordHasher().encode(password, "salt", iterations=260_000),
    "imported_argon2": imported.as_stored(PasswordHasher(2, 19 * 1024, 4).hash(password)),
    "imported_dear": PBKDF2PasswordHasher().encode(password, "salt", iterations=1_000_000),
    "without_password": make_password(None),
}}
def one(state, number):
    gone = state == "deleted"
    return User(
        email=None if gone else f"{{state}}-{{number}}-{{tag}}@attack.example",
        password=theirs.get(state, ours),
        email_verified_at=None if state == "unverified" or gone else Now(),
        status=state if state in ("suspended", "pending_deletion", "deleted") else "active",
    )
made = User.objects.bulk_create(one(state, number) for state in states for number in range(count))
hooks.registered([user.pk for user in made if user.status != "deleted"])
for user in made:
    if user.email and user.email.startswith("over_mail_budget"):
        budget = throttles.hit("mails_by_strangers", mailbox(user.email))
        while throttles.take(budget):
            pass
"""


class Crowd:
    """A number of accounts in each state. Addresses of the arms `unknown` and `deleted` have no account."""

    def __init__(self, instance: Instance, count: int) -> None:
        self.tag, self.password = secrets.token_hex(4), secrets.token_urlsafe(15)
        arguments = [self.tag, count, self.password, STATES]
        status, said = instance.manage("shell", "-v0", "-c", _MAKE.format(arguments=arguments))
        if status:
            raise SystemExit(f"The accounts could not be made:\n{said}")

    def address(self, arm: str, number: int) -> str:
        return f"{arm}-{number}-{self.tag}@attack.example"


def tokens_of(answer_body: object) -> dict[str, str]:
    """Return the tokens of an answer, or exit if it has none."""
    if not isinstance(answer_body, dict) or "access_token" not in answer_body:
        raise SystemExit(f"No tokens: {json.dumps(answer_body)}")
    return answer_body
