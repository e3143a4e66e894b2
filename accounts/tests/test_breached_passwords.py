"""New passwords are looked up in a list of breached ones: a server on this machine stands for the service."""

import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from accounts.models import OutboxMessage, PendingRegistration, User
from accounts.passwords import breached
from accounts.tests.conftest import PASSWORD, deliver_mails, link_in, outcome, post
from tests.fixtures import issue_access_token

pytestmark = pytest.mark.django_db
BREACHED = "a sentence that everybody knows"
DIGEST = hashlib.sha1(BREACHED.encode(), usedforsecurity=False).hexdigest().upper()
REFUSED = [
    {
        "field": "password",
        "code": "password_breached",
        "detail": "This password was in a data breach. Choose another one.",
    }
]


class Service(ThreadingHTTPServer):
    """Answers as the Pwned Passwords API does, or as it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str]] = []
        self.delay, self.drip, self.status, self.count = 0.0, 0.0, 200, "7"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Add-Padding"]))
        time.sleep(self.server.delay)
        rows = [f"{number:035X}:0" for number in range(800)]
        rows.append(f"{DIGEST[5:]}:{self.server.count}")
        body = "\r\n".join(rows).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for part in (body[start : start + 2000] for start in range(0, len(body), 2000)):
            time.sleep(self.server.drip)
            self.wfile.write(part)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def service(settings: Any) -> Iterator[Service]:
    server = Service()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.BREACHED_PASSWORDS_URL = f"http://127.0.0.1:{server.server_port}/range/"
    breached.rest.end()
    yield server
    breached.rest.end()
    server.shutdown()
    server.server_close()


def register(public: Any, password: str, email: str = "ada@example.com") -> Any:
    return post(public, "register", email=email, password=password)


def test_a_breached_password_is_refused_and_five_digits_leave_us(public, service):
    answer = register(public, BREACHED)
    assert outcome(answer) == (400, "validation_error")
    assert answer.json()["errors"] == REFUSED
    assert service.asked == [(f"/range/{DIGEST[:5]}", "true")]
    assert not User.objects.exists()
    assert register(public, PASSWORD).status_code == 202


def test_padding_is_no_breach(public, service):
    service.count = "0"
    assert register(public, BREACHED).status_code == 202


def test_wherever_a_password_is_set(public, service, make_user):
    ada = make_user("ada@example.com", password=PASSWORD)
    client = public.with_token(issue_access_token(ada))
    answer = post(client, "change-password", current_password=PASSWORD, new_password=BREACHED)
    assert answer.json()["errors"][0]["code"] == "password_breached"
    post(public, "password-reset-request", email="ada@example.com")
    link = link_in(deliver_mails()[0])
    answer = post(public, "password-reset", token=link, new_password=BREACHED)
    assert answer.json()["errors"] == [{**REFUSED[0], "field": "new_password"}]
    assert User.objects.get().check_password(PASSWORD)
    page = public.post(
        "/v1/auth/password-reset",
        f"token={link}&new_password={BREACHED}",
        content_type="application/x-www-form-urlencoded",
        HTTP_ACCEPT_LANGUAGE="de",
    )
    assert "Datenleck" in page.content.decode()


def test_nobody_is_asked_about_a_password_that_is_refused_anyway_or_to_sign_in(public, service, make_user):
    make_user("ada@example.com", password=PASSWORD)
    register(public, "short", "bob@example.com")
    assert post(public, "login", email="ada@example.com", password=PASSWORD).status_code == 200
    assert service.asked == []


@pytest.mark.parametrize("fault", [{"delay": 2.0}, {"drip": 0.05}, {"status": 503}, {"status": 404}])
def test_a_service_that_fails_refuses_nobody_and_costs_little(public, service, fault):
    for name, value in fault.items():
        setattr(service, name, value)
    began = time.monotonic()
    assert not breached.is_breached(BREACHED)
    assert time.monotonic() - began < 0.6
    assert not breached.is_breached(BREACHED)
    assert len(service.asked) == 1  # left alone for a while
    assert register(public, BREACHED).status_code == 202


def test_one_that_is_not_there(settings):
    settings.BREACHED_PASSWORDS_URL = "http://127.0.0.1:9/range/"
    breached.rest.end()
    assert not breached.is_breached(BREACHED)
    breached.rest.end()


def test_off_unless_it_is_configured(settings):
    assert settings.BREACHED_PASSWORDS_URL == ""
    assert not breached.is_breached(BREACHED)


def test_nothing_of_the_password_is_kept_or_logged(public, service, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    register(public, BREACHED)
    service.status = 500
    register(public, BREACHED)
    stored = str(list(OutboxMessage.objects.values())) + str(list(PendingRegistration.objects.values()))
    written = caplog.text + "".join(capfd.readouterr()) + stored
    for part in (BREACHED, DIGEST[:5], DIGEST[5:]):
        assert part.upper() not in written.upper().replace(str(service.server_port), "")
