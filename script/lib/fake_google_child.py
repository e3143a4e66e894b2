"""`script/server --with-google`: an OpenID provider beside the service, instead of Google (tests/fake_google)."""

import sys
from collections.abc import Mapping
from pathlib import Path

from fake_stripe_child import answers_at
from supervise import Child

ROOT = Path(__file__).resolve().parents[2]
OPTION = "--with-google"
PORT = "GOOGLE_PORT"
DEFAULT_PORT = "8004"
CLIENTS = ("web.of.the.fake.google", "native.of.the.fake.google")
CLIENT_SECRET = "secret.of.the.fake.google"  # noqa: S105  (of a fake that listens on this machine only)


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the service's variables; they override a Google client that the environment may name."""
    address = f"http://127.0.0.1:{environment[PORT]}"
    return {
        "GOOGLE_CLIENT_ID": ",".join(CLIENTS),
        "GOOGLE_CLIENT_SECRET": CLIENT_SECRET,
        "GOOGLE_AUTHORIZATION_URL": f"{address}/oauth2/authorize",
        "GOOGLE_TOKEN_URL": f"{address}/oauth2/token",
        "GOOGLE_JWKS_URL": f"{address}/jwks",
        "GOOGLE_ISSUERS": address,
    }


def child(environment: Mapping[str, str]) -> Child:
    command = [sys.executable, "-W", "ignore", "-m", "tests.fake_google", environment[PORT]]
    return Child("google", command, environment, directory=ROOT, ready=answers_at(environment[PORT]))
