"""Opens pages in Chromium and keeps what they complain about."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
IS_THERE = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
NEEDED = [pytest.mark.django_db(transaction=True), IS_THERE]
HEIGHT = 900
WIDTHS = {"desk": 1280, "phone": 390}
SEEN_AT = {**WIDTHS, **({"wide": 1440} if "ADMIN_PICTURES" in os.environ else {})}


@contextmanager
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread, and Django would take it for a coroutine that asks the database.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


def opened_page(
    browser: Any, cookies: list[Any], complaints: list[str], *, width: int = WIDTHS["desk"]
) -> Any:
    context = browser.new_context(viewport={"width": width, "height": HEIGHT})
    context.add_cookies(cookies)
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    return page
