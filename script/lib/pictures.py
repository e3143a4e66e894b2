"""Pictures of every mail and page in every language, at desktop and phone width: `script/pictures [de ...]`.

One sheet for each language and width, in $VAR_DIR/pictures, taken by Chromium. Made-up data, no servers.
"""

import html
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = {"desk": (760, 2), "phone": (360, 5)}  # of one mail, and how many are placed side by side
HEIGHT = 880
PLACE = (
    Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve() / "pictures"
)  # the test settings have a VAR_DIR too
LINK = "https://auth.example/v1/auth/a-page?token=" + "Q2hlY2sgdGhlIHdpZHRoIG9mIGxvbmcgbGlua3M" * 2
SAMPLE: dict[str, Any] = {
    "service": "Auth Service",
    "brand_color": "#1f5fbf",
    "support": "help@example.com",
    "imprint": ["Example GmbH, Hauptstraße 1, 10115 Berlin", "VAT DE123456789"],
    "link": LINK,
    "refuse_link": LINK,
    "code": "BCDF-GHJK",
    "account": "a***@example.com",
    "at": datetime(2026, 12, 7, 14, 5, tzinfo=UTC),
    "deletes_at": datetime(2026, 12, 21, 14, 5, tzinfo=UTC),
    "ip": "203.0.113.7",
    "device": "Firefox, Windows",
    "nonce": "picture",
    "token": "token",
    "email": f"ada.lovelace.{'with-a-long-address-' * 2}@{'analytical-engines.' * 2}example.com",
    "has_password": True,
    "least": "",
    "min_length": 12,
    "faults": [],
}
# What events about money store: accounts/mail/kinds.py.
PLAN = {
    "name": "Basic",
    "status": "active",
    "currency": "eur",
    "amount": 1990,
    "cancel_at_period_end": True,
    "current_period_end": "2026-12-21T14:05:00+00:00",
    "trial_end": "2026-12-14T14:05:00+00:00",
    "next_plan": "pro",
    "next_name": "Pro",
    "pending_name": "Pro",
    "pending_amount": 4990,
    "pending_expires_at": "2026-12-08T13:05:00+00:00",
    "last4": "4242",
    "exp_month": 3,
    "exp_year": 2027,
    "request": "a-request",
    "at_stake": 19900,
}
PAYMENT = {
    **PLAN,
    "tax": 318,
    "number": "8A2C-0001",
    "document": "https://invoice.example/i/8A2C-0001",
    "paid_at": "2026-12-07T14:05:00+00:00",
    "refunded": 500,
    "disputed": 1990,
    "credits": 1000,
    "posted": -250,
    "quantity": 1,
}
GIVE = {"purchase": PAYMENT | {"posted": 1000}, "renewal": PAYMENT | {"posted": 1000}}
OF_PAYMENTS = {"purchase", "renewal", "payment_failed", "purchase_failed", "refund", "dispute"}
OF_PAGES = {
    "account": {"email": SAMPLE["email"]},
    "detail": "This link is no longer valid. Request another one.",
}


def main(languages: list[str]) -> int:
    from django.conf import settings

    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        print("There is no Chromium here: apt-get install chromium.")
        return 1
    PLACE.mkdir(parents=True, exist_ok=True)
    for language in languages or settings.MAIL_LANGUAGES:
        for name, (width, columns) in WIDTHS.items():
            texts = [*mails(language), *pages(language)]
            print(take(browser, PLACE / f"{language}-{name}", texts, width, columns))
    return 0


def mails(language: str) -> Iterator[str]:
    """Yield the HTML of each mail."""
    from django.template.loader import render_to_string
    from django.utils import translation

    from accounts import mail
    from accounts.mail.terms import terms

    with translation.override(language):
        for kind, about in {**mail.KINDS, **mail.NOTICES}.items():
            detail = GIVE.get(kind, PAYMENT if kind in OF_PAYMENTS else PLAN)
            if kind.endswith("_failed"):
                detail = {key: value for key, value in detail.items() if key != "paid_at"}
            context = {**SAMPLE, **terms(), "detail": detail, "subject": str(about.subject)}
            yield render_to_string(f"mail/{kind}.html", context)


def pages(language: str) -> Iterator[str]:
    """Yield the HTML of each page behind a mailed link."""
    from django.template.loader import render_to_string
    from django.utils import translation

    from accounts.mail.terms import terms

    with translation.override(language):
        for path in sorted((ROOT / "templates" / "pages").glob("*.html")):
            if path.name != "base.html":
                context = {**SAMPLE, **terms(), **OF_PAGES}
                if path.stem == "confirm_email_change":
                    context["account"] = SAMPLE["account"]  # the masked address, not the user
                yield render_to_string(f"pages/{path.name}", context)


def take(browser: str, target: Path, pages: list[str], width: int, columns: int) -> Path:
    frames = "".join(
        f'<iframe srcdoc="{html.escape(page)}" width="{width}" height="{HEIGHT}"></iframe>' for page in pages
    )
    sheet, picture = target.with_suffix(".html"), target.with_suffix(".png")
    sheet.write_text(f"<!doctype html><meta charset=utf-8><body style='margin:0;font-size:0'>{frames}")
    rows = -(-len(pages) // columns)
    size = f"{columns * (width + 4)},{rows * (HEIGHT + 4)}"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={size}"]
    subprocess.run(
        [browser, *options, f"--screenshot={picture}", sheet.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return picture


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
    sys.path.insert(0, str(ROOT))
    django.setup()
    sys.exit(main(sys.argv[1:]))
