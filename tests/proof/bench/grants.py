"""Gives each user of the bench 10^9 credits through the service's own code; a program that databases.py runs."""

import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib")]

import django  # noqa: E402

django.setup()

from databases import user_id  # noqa: E402
from load import USERS  # noqa: E402

from credits.ledger import operations  # noqa: E402
from credits.ledger.batch import Step, perform_all  # noqa: E402
from credits.ledger.calls import Call  # noqa: E402

CREDITS = 10**9


def main() -> None:
    done = perform_all([step(uuid.UUID(user_id(number))) for number in range(1, USERS + 1)])
    if problems := [result for result in done if isinstance(result, Exception)]:
        raise SystemExit(f"No credits for {len(problems)} users: {problems[0]}")


def step(user: uuid.UUID) -> Step:
    call = Call(service="bench")
    return Step(user, operations.add(amount=CREDITS, call=call, type="purchase"))


if __name__ == "__main__":
    main()
