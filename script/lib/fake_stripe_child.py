"""`script/server --with-stripe`: the fake Stripe of tests/fake_stripe beside the service, and the settings for it."""

import shlex
import sys
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import dev_env
from supervise import Child

ROOT = Path(__file__).resolve().parents[2]
OPTION = "--with-stripe"
PORT = "STRIPE_PORT"
DEFAULT_PORT = "8003"
KEY = "sk_test_of_the_fake_stripe"
WEBHOOK_SECRET = "whsec_of_the_fake_stripe"  # noqa: S105  (of a fake that listens on this machine only)
FILE = "stripe.env"  # in VAR_DIR, for script/manage


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the service's variables; they override a Stripe account that the environment may name."""
    return {
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        "STRIPE_API_BASE": address(environment),
        "BILLING_RETURN_HOSTS": environment.get("BILLING_RETURN_HOSTS", ",".join(places(environment))),
    }


def places(environment: Mapping[str, str]) -> list[str]:
    """Return the hosts it may send people back to: /demo, and its own page for calls by hand."""
    ports = [environment["PORT"], environment[PORT]]
    return [f"{host}:{port}" for host in ("localhost", "127.0.0.1") for port in ports]


def address(environment: Mapping[str, str]) -> str:
    return f"http://127.0.0.1:{environment[PORT]}"


def write(directory: Path, given: Mapping[str, str]) -> None:
    """Write the settings; without any, remove the file, so that commands do not look for a fake that is not running."""
    path = directory / FILE
    if given:
        dev_env.replace(path, "".join(f"{name}={shlex.quote(value)}\n" for name, value in given.items()))
    else:
        path.unlink(missing_ok=True)


def read(directory: Path) -> dict[str, str]:
    path = directory / FILE
    return dev_env.parse(path.read_text()) if path.exists() else {}


def child(environment: Mapping[str, str]) -> Child:
    webhook = f"http://127.0.0.1:{environment['PORT']}/v1/billing/webhook"
    command = [sys.executable, "-m", "tests.fake_stripe", "--port", environment[PORT]]
    return Child(
        "stripe",
        [*command, "--webhook-url", webhook, "--webhook-secret", WEBHOOK_SECRET],
        environment,
        directory=ROOT,
        ready=answers_at(environment[PORT]),
    )


def answers_at(port: str) -> Callable[[], bool]:
    def check() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return check
