"""Fixtures: one fake Stripe per test process, as new for every test that asks for it."""

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
    """Its own process, so that it answers while a test waits for it with the interpreter in hand."""
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
    """The seeded catalogue and nothing else; webhooks go nowhere until `webhook_to(url)`."""
    fake_stripe_process.reset()
    yield fake_stripe_process
    assert fake_stripe_process.bugs() == []
