"""Gives each user of the bench 10^9 credits, as the service does it: a program for databases.py."""

import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib")]

import django  # noqa: E402

django.setup()

from databases import user_id  # noqa: E402
from load import USERS  # noqa: E402

from credits import ledger  # noqa: E402
from credits.ledger.batch import Order, perform_all  # noqa: E402
from credits.ledger.calls import Call  # noqa: E402

CREDITS = 10**9


def main() -> None:
    done = perform_all([order(uuid.UUID(user_id(number))) for number in range(1, USERS + 1)])
    if problems := [result for result in done if isinstance(result, Exception)]:
        raise SystemExit(f"No credits for {len(problems)} users: {problems[0]}")


def order(user: uuid.UUID) -> Order:
    call = Call(service="bench")
    return Order(call, user, ledger.adding(amount=CREDITS, call=call, type="purchase", expires_at=None))


if __name__ == "__main__":
    main()
