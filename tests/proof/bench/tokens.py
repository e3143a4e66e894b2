"""Opens sessions for some users of the bench and prints their access tokens as JSON, for session_checks.py."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib")]

import django  # noqa: E402

django.setup()

from databases import user_id  # noqa: E402

from accounts import sessions  # noqa: E402
from accounts.kit.client import Client  # noqa: E402
from accounts.models import User  # noqa: E402


def access_token(number: int) -> str:
    user = User.objects.get(pk=user_id(number))
    pair = sessions.open_session(user, methods=["pwd"], client=Client(ip="127.0.0.1", user_agent="bench"))
    if pair is None:
        raise SystemExit("The user of the bench cannot sign in.")
    return str(pair.access_token)


if __name__ == "__main__":
    print(json.dumps([access_token(number) for number in range(1, int(sys.argv[1]) + 1)]))
