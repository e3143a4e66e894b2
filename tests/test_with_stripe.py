"""`script/server --with-stripe`: what it tells the service, the commands, and the person who reads the greeting."""

from pathlib import Path

import pytest

import fake_stripe_child
import serve
from billing.shop import return_urls
from greeting import greeting

ENVIRONMENT = {
    "ADMIN_EMAIL": "admin@example.com",
    "PORT": "8000",
    "INTERNAL_PORT": "8001",
    "ADMIN_PORT": "8002",
    "STRIPE_PORT": "8003",
    "VAR_DIR": "/nowhere",
}


def test_the_service_is_pointed_at_the_fake() -> None:
    given = fake_stripe_child.settings(ENVIRONMENT)
    assert given["STRIPE_API_BASE"] == "http://127.0.0.1:8003"
    assert given["STRIPE_SECRET_KEY"].startswith("sk_test_")
    arguments = fake_stripe_child.child(ENVIRONMENT).argv
    assert "http://127.0.0.1:8000/v1/billing/webhook" in arguments
    assert given["STRIPE_WEBHOOK_SECRETS"] in arguments


def test_commands_find_it_while_it_is_meant_to_run(tmp_path: Path) -> None:
    given = fake_stripe_child.settings(ENVIRONMENT)
    fake_stripe_child.write(tmp_path, given)
    assert fake_stripe_child.read(tmp_path) == given
    fake_stripe_child.write(tmp_path, {})
    assert fake_stripe_child.read(tmp_path) == {}


def test_the_greeting_names_the_fake_only_where_it_runs() -> None:
    address = "http://127.0.0.1:8003"
    assert address not in greeting(ENVIRONMENT, seconds=1)
    assert address in greeting({**ENVIRONMENT, **fake_stripe_child.settings(ENVIRONMENT)}, seconds=1)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(SystemExit, match=r"--with-strip\. There is --with-stripe"):
        serve.main(["--with-strip"])


def test_it_may_send_people_back_to_the_demo_and_to_a_page_of_its_own(settings) -> None:
    settings.BILLING_RETURN_HOSTS = fake_stripe_child.settings(ENVIRONMENT)["BILLING_RETURN_HOSTS"].split(",")
    for url in ("http://127.0.0.1:8003/done", "http://localhost:8000/demo?checkout={CHECKOUT_SESSION_ID}"):
        assert return_urls.is_allowed(url), url


def test_the_greeting_names_the_page_to_try_it_on() -> None:
    assert "http://localhost:8000/demo" in greeting(ENVIRONMENT, seconds=1)
    assert "--with-google --with-stripe" in greeting(ENVIRONMENT, seconds=1)
