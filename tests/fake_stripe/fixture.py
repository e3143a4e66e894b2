"""Fixtures: one fake Stripe per test process, reset for every test that uses it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_stripe.control import Control

ROOT = Path(__file__).resolve().parents[2]
WEBHOOK_SECRET = "whsec_fake_stripe_of_the_tests"


@pytest.fixture(scope="session")
def fake_stripe_process() -> Iterator[Control]:
    """Run the fake in a separate process, so that it answers while a waiting test holds the interpreter."""
    command = [sys.executable, "-m", "tests.fake_stripe", "--webhook-secret", WEBHOOK_SECRET]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            yield Control(url, webhook_secret=WEBHOOK_SECRET)
        finally:
            process.terminate()


@pytest.fixture
def fake_stripe(fake_stripe_process: Control) -> Iterator[Control]:
    """Reset the fake to the seeded catalogue; webhooks go nowhere until `webhook_to(url)`. Assert that it met no
    bugs.
    """
    fake_stripe_process.reset()
    yield fake_stripe_process
    assert fake_stripe_process.bugs() == []
