"""Require a page for every form that is refused, whatever is wrong with it: its sender looks at a browser."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
PATHS = (
    "verify-email",
    "refuse-registration",
    "confirm-email-change",
    "undo-email-change",
    "password-reset-request",
    "password-reset",
    "cancel-mfa-reset",
)
BAD = {
    "not UTF-8": b"token=%ff&email=%ff",
    "twice": b"token=a&token=b",
    "too many": b"&".join(b"f%d=" % number for number in range(100)),
    "unknown": b"token=a&role=x",
    "nothing": b"x",
    "NUL": b"token=%00&email=%00",
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
@pytest.mark.parametrize("path", PATHS)
def test_a_bad_form_gets_a_page(public: ListenerClient, path: str, raw: bytes) -> None:
    answer = public.post(f"/v1/auth/{path}", raw, content_type=FORM, HTTP_ACCEPT_LANGUAGE="de-AT")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    text = answer.content.decode()
    assert '<html lang="de"' in text
    assert "JSON" not in text


@pytest.mark.parametrize("path", PATHS)
def test_a_form_that_is_too_early_says_when(public: ListenerClient, path: str, settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, (0, 60))
    body = {
        "password-reset-request": b"email=ada%40example.com",
        "password-reset": b"token=a&new_password=b",
    }
    answer = public.post(f"/v1/auth/{path}", body.get(path, b"token=a"), content_type=FORM)
    assert (answer.status_code, answer["Content-Type"]) == (429, "text/html; charset=utf-8")
    assert int(answer["Retry-After"]) > 0


def test_a_service_gets_a_problem(internal: ListenerClient, service_key: Callable[..., str]) -> None:
    """Introspection takes forms as well (RFC 7662), from programs."""
    answer = internal.with_key(service_key()).post("/v1/tokens/introspect", b"token=%ff", content_type=FORM)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert (answer.json()["code"], answer.json()["title"]) == ("bad_request", "Bad request")
