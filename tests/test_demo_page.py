"""/demo exists in development only, brings its own policy and keeps it; its back end fails as it should."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.mail import EmailMultiAlternatives

from billing import money
from config.demo.page import POLICY
from config.mail import FileBackend
from tests.listeners import ListenerClient
from tests.test_production_settings import production

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "config" / "demo" / "static" / "demo"
PATHS = ["/demo", "/demo/google", "/demo/api/plans", "/demo/api/inbox", "/demo/api/standing"]
IS_ROUTED = """
import sys, django; django.setup()
from django.urls import Resolver404, resolve
try: print(resolve("/demo").route)
except Resolver404: print("nowhere", "config.demo" in sys.modules)
"""


@pytest.fixture
def page() -> ListenerClient:
    return ListenerClient("public", urlconf="config.demo.urls", HTTP_HOST="localhost:8000")


@pytest.fixture(autouse=True)
def nobody_answers(settings):
    settings.DEMO_INTERNAL_URL, settings.DEMO_API_KEY = "http://127.0.0.1:9", "none"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("listener", ["public", "internal", "admin"])
def test_it_is_nowhere_outside_development(path: str, listener: str) -> None:
    client = ListenerClient(listener)
    answer, unknown = client.get(path), client.get("/nothing-of-that-name")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, unknown.headers["Content-Type"])


@pytest.mark.parametrize(
    ("module", "said"), [("production", "nowhere False"), ("test", "nowhere False"), ("dev", "demo")]
)
def test_which_settings_route_it(module: str, said: str) -> None:
    environment = production(DJANGO_SETTINGS_MODULE=f"config.settings.{module}")
    run = subprocess.run(
        [sys.executable, "-c", IS_ROUTED],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stdout.strip() == said, run.stderr


def test_the_page_has_a_policy_of_its_own_and_keeps_it(page) -> None:
    answer = page.get("/demo")
    text = answer.content.decode()
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)
    sources = re.findall(r'(?:src|href)="/static/demo/([^"]+)"', text)
    assert sources
    assert all((STATIC / source).exists() for source in sources)


def test_its_modules_make_no_markup_of_text() -> None:
    modules = list(STATIC.glob("*.js"))
    assert len(modules) > 5
    for module in modules:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", module.read_text()
        )


def test_every_element_that_a_module_asks_for_is_on_the_page(page, settings) -> None:
    settings.GOOGLE_CLIENT_IDS, settings.STRIPE_SECRET_KEY = ["web"], "sk_test_1"
    there = set(re.findall(r'\sid="([^"]+)"', page.get("/demo").content.decode()))
    asked = {
        name
        for module in STATIC.glob("*.js")
        for name in re.findall(r'\bfind\("([\w-]+)"\)', module.read_text())
    }
    assert len(asked) > 30
    assert asked - there == set()


def test_fields_and_pictures_have_names(page) -> None:
    text = page.get("/demo").content.decode()
    labelled = re.findall(r"<label[^>]*>[^<]+(?:<q>[^<]+</q>\s*)?<(?:input|select)\b", text)
    assert len(labelled) == len(re.findall(r"<(?:input|select)\b", text))
    assert all("alt=" in image for image in re.findall(r"<img[^>]*>", text))


def test_it_lives_at_localhost(page) -> None:
    """Passkeys and the cookie of a sign-in with Google belong to one name."""
    answer = page.get("/demo?checkout=cs_1", HTTP_HOST="127.0.0.1:8000", SERVER_PORT="8000")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "http://localhost:8000/demo?checkout=cs_1"


def test_what_google_and_stripe_need_is_said(page, settings) -> None:
    settings.GOOGLE_CLIENT_IDS, settings.STRIPE_SECRET_KEY = [], ""
    text = page.get("/demo").content.decode()
    assert "--with-google" in text
    assert "--with-stripe" in text


class TestMailbox:
    @pytest.fixture(autouse=True)
    def mails(self, settings, tmp_path):
        settings.EMAIL_FILE_PATH = tmp_path
        for number, to in enumerate(["ada@example.com", "grace@example.com", "ada@example.com"]):
            text = f"Confirm:\n\nhttps://auth.test/v1/auth/verify-email?token={number}\n\n    BCDF-GHJK\n"
            mail = EmailMultiAlternatives(f"Mail {number}", text, "no-reply@auth.test", [to])
            mail.attach_alternative("<p>Confirm</p>", "text/html")
            FileBackend().send_messages([mail])

    def test_lists_those_to_the_address_newest_first(self, page) -> None:
        found = page.get("/demo/api/inbox", {"to": "Ada@example.com "}).json()["results"]
        assert [mail["subject"] for mail in found] == ["Mail 2", "Mail 0"]
        assert found[0]["links"] == ["https://auth.test/v1/auth/verify-email?token=2"]
        assert found[0]["code"] == "BCDF-GHJK"

    def test_is_for_this_machine_only(self, page) -> None:
        assert page.get("/demo/api/inbox?to=ada@example.com", REMOTE_ADDR="203.0.113.7").status_code == 404


class TestNeighbour:
    def test_nobody_without_a_token(self, page) -> None:
        for path in ("/demo/api/standing", "/demo/api/history"):
            assert page.get(path).status_code == 401

    def test_the_internal_listener_does_not_answer(self, page) -> None:
        answer = page.with_token("any").get("/demo/api/standing", HTTP_HOST="localhost")
        assert answer.status_code == 503
        assert answer.json()["code"] == "service_unavailable"
        assert page.get("/demo/api/plans").status_code == 503

    def test_another_method(self, page) -> None:
        assert page.get("/demo/api/checkout").status_code == 405
        assert page.post("/demo/api/plans", {}).status_code == 405


@pytest.mark.parametrize(
    "name", ["subscription-cancel", "subscription-resume", "portal", "google-link", "google-unlink"]
)
def test_a_button_about_what_is_not_loaded_yet_cannot_be_clicked(page, name):
    assert re.search(rf'<button [^>]*id="{name}" hidden>', page.get("/demo").content.decode())


@pytest.mark.parametrize("name", ["WHOLE", "THOUSANDTHS"])
def test_it_knows_which_currencies_have_no_hundredths(name):
    listed = re.search(rf'const {name} = "([a-z ]+)"', (STATIC / "view.js").read_text())
    assert listed is not None
    assert set(listed[1].split()) == getattr(money, name)
