"""Entries of django-hordak in process: a transfer of 1 EUR between two accounts, each a transaction with two legs.

It writes the rows, with triggers that check at commit that the legs of a transaction add up to zero. It does not check
whether the account has that much (its balance is the sum of all its legs), keep a balance, recognise a repeated key, or
chain hashes. It is measured without them.

`hordak_entries.py prepare` creates the tables and accounts; `hordak_entries.py SECONDS` prints entries per second as
JSON: one by one with `transfer_to`, each in its own database transaction, as hordak's guide does it; and 1,000 in each
with Django's `bulk_create`.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings

DATABASE = urlsplit(os.environ["DATABASE_URL"])
USERS, BULK = 100, 1000

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": DATABASE.path.lstrip("/"),
            "USER": DATABASE.username,
            "HOST": parse_qs(DATABASE.query)["host"][0],
        }
    },
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "mptt", "hordak"],
    CURRENCIES=["EUR"],
    DEFAULT_CURRENCY="EUR",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from hordak.models import Account, AccountType, Leg, Transaction  # noqa: E402
from moneyed import EUR, Money  # noqa: E402

ONE = Money(1, EUR)


def prepare() -> None:
    call_command("migrate", verbosity=0)
    for number in range(USERS + 1):
        Account.objects.create(name=f"user {number}", type=AccountType.liability, currencies=["EUR"])


def singly(users: list[Account], service: Account) -> int:
    with transaction.atomic():
        random.choice(users).transfer_to(service, ONE)
    return 1


def in_bulk(users: list[Account], service: Account) -> int:
    with transaction.atomic():
        made = Transaction.objects.bulk_create([Transaction() for _ in range(BULK)])
        legs = [
            leg
            for one in made
            for leg in (
                Leg(transaction=one, account=random.choice(users), credit=ONE),
                Leg(transaction=one, account=service, debit=ONE),
            )
        ]
        Leg.objects.bulk_create(legs)
    return BULK


def per_second(entry: Callable[[list[Account], Account], int], seconds: float) -> float:
    *users, service = Account.objects.order_by("pk")
    entry(users, service)
    started, count = time.monotonic(), 0
    while (taken := time.monotonic() - started) < seconds:
        count += entry(users, service)
    return count / taken


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare()
    else:
        print(
            json.dumps({entry.__name__: per_second(entry, float(sys.argv[1])) for entry in (singly, in_bulk)})
        )
