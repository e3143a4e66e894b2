"""The TypeScript client in Chromium: tabs that share a session, and passkeys of a virtual authenticator."""

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright

from accounts.models import User
from tests.clients.lossy_proxy import LOST, LossyProxy
from tests.clients.packages import HERE
from tests.fixtures import PASSWORD
from tests.served import Served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def front_end(packed: Path, page_port: int, tmp_path: Path) -> Iterator[str]:
    """The address of a page with the client, at the origin that the service knows."""
    shutil.copytree(packed / "dist", tmp_path / "client")
    shutil.copy(HERE / "typescript" / "page.html", tmp_path / "index.html")
    with ThreadingHTTPServer(("localhost", page_port), partial(Quiet, directory=str(tmp_path))) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://localhost:{page_port}"
        server.shutdown()


@pytest.fixture
def proxy(public_listener: Served) -> LossyProxy:
    return LossyProxy(public_listener.port)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[BrowserContext]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # playwright's loop runs in this thread
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium.new_context()
        chromium.close()


@pytest.fixture
def tabs(browser: BrowserContext, front_end: str, url: str) -> list[Page]:
    """Two tabs of one front end."""
    pages = [browser.new_page() for _ in range(2)]
    for page in pages:
        page.goto(f"{front_end}/?url={url}")
        page.wait_for_function("window.auth")
    return pages


def sign_in(page: Page, user: User) -> Any:
    return page.evaluate("([email, password]) => auth.signIn({ email, password })", [user.email, PASSWORD])


def refreshes(proxy: LossyProxy) -> list[str | None]:
    return [one.key for one in proxy.seen if (one.method, one.path) == ("POST", "/v1/auth/refresh")]


def test_tabs_refresh_once_though_the_answer_is_lost(
    tabs: list[Page], proxy: LossyProxy, verified_user: User
) -> None:
    assert sign_in(tabs[0], verified_user) == {"signedIn": True}
    tabs[0].evaluate("age()")
    five = "() => { window.asked = Promise.all([1, 2, 3, 4, 5].map(() => auth.account.get())); return null; }"
    proxy.plan = [
        LOST,
        LOST,
    ]  # the preflight of the refresh, and the refresh: both tabs wait for the lock by then
    for tab in tabs:
        tab.evaluate(five)
    for tab in tabs:
        emails = tab.evaluate("async () => (await window.asked).map((one) => one.email)")
        assert emails == [verified_user.email] * 5
    assert len(set(refreshes(proxy))) == 1
    assert len(refreshes(proxy)) <= 3  # with those whose answers were lost


def test_signing_out_in_one_tab_is_heard_in_the_other(tabs: list[Page], verified_user: User) -> None:
    sign_in(tabs[0], verified_user)
    tabs[1].wait_for_function("heard.length === 1")
    tabs[0].evaluate("auth.signOut()")
    tabs[1].wait_for_function("heard.length === 2")
    assert tabs[1].evaluate("heard") == [True, False]
    assert tabs[1].evaluate("auth.account.get().catch((error) => error.name)") == "SignedOut"


def test_a_passkey_is_added_and_signs_in_alone_and_as_a_second_step(
    browser: BrowserContext, tabs: list[Page], verified_user: User
) -> None:
    page = tabs[0]
    page.bring_to_front()  # a page without focus gets no passkey
    devtools = browser.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
    }
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    sign_in(page, verified_user)
    added = page.evaluate("auth.factors.addPasskey('Phone')")
    assert added["passkey"]["name"] == "Phone"
    page.evaluate("auth.signOut()")
    assert page.evaluate("auth.signInWithPasskey()") == {"signedIn": True}
    page.evaluate("auth.signOut()")
    second = "async ([email, password]) => { const step = await auth.signIn({ email, password });"
    second += " await step.withPasskey(); return (await auth.account.get()).email; }"
    assert page.evaluate(second, [verified_user.email, PASSWORD]) == verified_user.email
