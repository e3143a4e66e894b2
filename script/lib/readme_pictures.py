"""Take the pictures of README.md: `script/pictures --readme`, from a running `script/server` with both stand-ins."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

import demo  # noqa: E402
from browser import Browser  # noqa: E402
from demo_browser import Story  # noqa: E402

PLACE = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 860
# A form of the admin is filled in by the names of its fields: its labels may change.
SEND = (
    "(() => {{ const it = document.getElementById({name}); if (!it) return 0;"
    " it.value = {value}; it.form.submit(); return 1; }})()"
)

# A new installation has no daily statistics yet: these are made up, plus what the demo has just done.
MONTH = """
from datetime import timedelta
from django.utils import timezone
from accounts.models import AccountDay
from accounts.upkeep import days
now = timezone.now()
usual = {"registered": 24, "signed_in": 160, "refused": 9, "mails": 70, "sessions": 600}
AccountDay.objects.bulk_create(
    AccountDay(
        day=now.date() - timedelta(days=back), measure=measure, final=True, counted_at=now,
        count=count * (60 - back) * (5 + back * 3 % 7 + back % 2) // 480,
    )
    for back in range(1, 30) for measure, count in usual.items()
)
days.summarize()
"""


def main() -> None:
    settings = {**demo.known_secrets(Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve()), **os.environ}
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        with Browser.opened() as browser:
            take_demo(
                Story(
                    browser,
                    home=f"http://localhost:{settings.get('PORT', '8000')}/demo",
                    pictures=Path(directory),
                )
            )
        with Browser.opened() as browser:
            take_admin(
                Story(browser, home="", pictures=Path(directory)),
                settings["ADMIN_EMAIL"],
                settings["ADMIN_PASSWORD"],
            )


def take_demo(story: Story) -> None:
    """Photograph the shop and the account of someone who has bought, with the requests behind the last click."""
    for chapter in (story.register, story.sign_in, story.buy):
        chapter()
    story.browser.click("Requests")
    keep(story.browser, "demo")


def take_admin(story: Story, email: str, password: str) -> None:
    """Photograph the first page, for a superuser who has just enrolled a second factor."""
    page = story.browser
    subprocess.run([ROOT / "script" / "manage", "shell", "--command", MONTH], check=True, stdout=sys.stderr)
    page.go(enrolment(email))
    send(page, "password", password)
    story.secret = page.wait("document.getElementById('secret')?.textContent.replaceAll(' ', '')", "The key")
    send(page, "code", story.code())
    page.wait("document.querySelector('main a, ul.font-mono')", "The recovery codes")
    page.evaluate("location.assign('/admin/')")
    page.wait("document.querySelector('#site-name, nav, aside')", "The first page")
    keep(page, "admin")


def enrolment(email: str) -> str:
    command: list[str | Path] = [ROOT / "script" / "manage", "staff_enrol", email, "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stderr.strip()}\nBegin with a fresh VAR_DIR: the admin enrols once.")
    return str(json.loads(done.stdout)["link"])


def send(page: Browser, name: str, value: str) -> None:
    page.wait(SEND.format(name=json.dumps(name), value=json.dumps(value)), f"The field {name}")


def keep(page: Browser, name: str) -> None:
    """Save a picture of the window's size, not of the whole page."""
    page.size(WIDTH, HEIGHT)
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("new Promise((done) => setTimeout(done, 800))")
    page.photograph_window(PLACE / f"{name}.png")
    print(PLACE / f"{name}.png")


if __name__ == "__main__":
    main()
