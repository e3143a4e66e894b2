"""`script/demo --browser`: a person in a browser tries all of /demo, on `script/server --with-google --with-stripe`.

Pictures of each step, at the width of a desktop and of a phone, go to $VAR_DIR/demo.
"""

import base64
import hmac
import json
import secrets
import struct
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from browser import Browser, BrowserFailed

WIDTHS = {"phone": 390, "desk": 1280}
STEP_SECONDS = 30  # the lifetime of a one-time code
# Counts the refreshes that they cause once the access token has expired.
TWENTY_CALLS = """
(async () => {
  const { auth } = await import("/static/demo/api.js");
  const kept = JSON.parse(localStorage.getItem("demo"));
  localStorage.setItem("demo", JSON.stringify({ ...kept, tokens: { ...kept.tokens, expiresAt: 0 } }));
  const real = window.fetch;
  let sent = 0;
  window.fetch = (request) => { sent += request.url.endsWith("/refresh"); return real(request); };
  await Promise.all(Array.from({ length: 20 }, () => auth.account.status()));
  window.fetch = real;
  return sent;
})()
"""
ONE_EXPORT_REFUSED = """
(() => {
  const refusal = { status: 403, code: "reauthentication_required", methods: ["code", "credential"] };
  const real = window.fetch;
  window.fetch = async (request) => {
    if (!request.url.endsWith("/v1/auth/me/export")) return real(request);
    window.fetch = real;
    return new Response(JSON.stringify(refusal), { status: 403 });
  };
})()
"""


class Story:
    """One newcomer: address, password, and what the page showed them to keep."""

    def __init__(self, browser: Browser, *, home: str, pictures: Path) -> None:
        self.browser, self.home, self.pictures = browser, home, pictures
        self.email = f"grace-{uuid.uuid4().hex[:8]}@example.com"
        self.password = secrets.token_urlsafe(16)
        self.secret = ""
        self.used_step = 0
        self.recovery_codes: list[str] = []

    def picture(self, name: str) -> None:
        for kind, width in WIDTHS.items():
            self.browser.size(width)
            overflow = self.browser.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            if overflow > 0:
                raise BrowserFailed(f"{name}: {overflow} px too wide for a {kind}")
            self.browser.photograph(self.pictures / f"{name}-{kind}.png", width)
        self.browser.size(WIDTHS["desk"])

    def code(self) -> str:
        """Return the authenticator app's code (RFC 6238); each step's code works once, so this may wait for the
        next.
        """
        while (step := int(time.time()) // STEP_SECONDS) <= self.used_step - 1:
            time.sleep(0.2)
        step = max(step, self.used_step + 1)  # one step ahead is accepted
        self.used_step = step
        key = base64.b32decode(self.secret + "=" * (-len(self.secret) % 8))
        digest = hmac.digest(key, struct.pack(">Q", step), "sha1")
        number = struct.unpack_from(">I", digest, digest[-1] & 15)[0] & 0x7FFFFFFF
        return f"{number % 1_000_000:06}"

    # ------------------------------------------------------------ the chapters

    def register(self) -> None:
        page = self.browser
        page.go(self.home)
        page.fill("Email address", self.email, within="register")
        page.fill("Password", "short", within="register")
        page.click("Register", within="register")
        page.see("12 characters")  # beside the field
        self.picture("1-refused")
        page.fill("Password", self.password, within="register")
        page.fill("Name", "Grace", within="register")
        page.click("Register", within="register")
        page.click("Use the code")
        self.picture("2-registered")
        page.click("Confirm", within="verify")
        page.see("is confirmed")

    def sign_in(self) -> None:
        page = self.browser
        page.fill("Email address", self.email, within="sign-in")
        page.fill("Password", "not the password", within="sign-in")
        page.click("Sign in", within="sign-in")
        page.see("401 invalid_credentials")
        self.give_password()
        page.see("Recent activity")
        page.see("Basic subscription")
        self.picture("3-signed-in")

    def give_password(self) -> None:
        self.browser.fill("Email address", self.email, within="sign-in")
        self.browser.fill("Password", self.password, within="sign-in")
        self.browser.click("Sign in", within="sign-in")

    def stay_signed_in(self) -> None:
        """A reload keeps the session; twenty calls at once need one refresh."""
        page = self.browser
        page.go(self.home)
        page.see("Recent activity")
        counted = page.evaluate(TWENTY_CALLS)
        if counted != 1:
            raise BrowserFailed(f"{counted} refreshes went out for twenty calls")

    def end_sessions(self) -> None:
        """End three further sessions, opened by a program."""
        page = self.browser
        for _ in range(3):
            self.open_another_session()
        page.go(self.home)
        self.see_sessions(4)
        page.click("End Python", within="session-list")
        self.see_sessions(3)
        page.click("End all others")
        self.see_sessions(1)

    def open_another_session(self) -> None:
        body = json.dumps({"email": self.email, "password": self.password}).encode()
        url = self.home.removesuffix("/demo") + "/v1/auth/login"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
        urllib.request.urlopen(request, timeout=20).close()  # noqa: S310  (this machine's own)

    def see_sessions(self, number: int) -> None:
        rows = "document.querySelectorAll('#session-list li').length"
        self.browser.wait(f"{rows} === {number}", f"A list of {number} sessions")

    def add_app(self) -> None:
        page = self.browser
        page.click("Show them")
        page.click("Add an app")
        self.secret = page.wait(
            "document.getElementById('totp-secret').textContent.replaceAll(' ', '')", "The key"
        )
        page.wait("document.getElementById('totp-picture').naturalWidth > 0", "The QR code")
        self.picture("4-app")
        page.fill("Code shown in the app", self.code())
        page.click("Confirm", within="totp-confirm")
        page.see("they are not shown again")
        self.recovery_codes = page.evaluate(
            "[...document.querySelectorAll('#codes code')].map((code) => code.textContent)"
        )
        self.picture("5-recovery-codes")

    def sign_in_in_two_steps(self) -> None:
        page = self.browser
        page.click("Sign out")
        self.give_password()
        page.see("Code from your authenticator app")
        self.picture("6-second-step")
        page.fill("Code from your authenticator app", self.code(), within="second-step")
        page.click("Continue", within="second-step")
        page.see("Recent activity")
        page.click("Sign out")
        self.give_password()
        page.fill("Code from your authenticator app", self.recovery_codes[0], within="second-step")
        page.click("Continue", within="second-step")
        page.see("Recent activity")

    def use_passkey(self) -> None:
        page = self.browser
        page.add_authenticator()
        page.click("Show them")
        page.fill("Name of a new passkey", "This laptop")
        page.click("Add a passkey")
        page.see("The passkey is added")
        self.picture("7-passkey")
        page.click("Sign out")
        page.click("Use a passkey")
        page.see("Recent activity")
        page.click("Sign out")
        self.give_password()
        page.click("Use a passkey", within="second-step")
        page.see("Recent activity")

    def prove_again(self) -> None:
        """Go through the dialog of a sensitive call. A refusal triggers it, since nobody waits five minutes for a
        demo.
        """
        page = self.browser
        page.evaluate(ONE_EXPORT_REFUSED)
        page.click("Export everything")
        page.see("Confirm that it's you")
        self.picture("8-prove")
        page.fill("Code from your authenticator app", self.recovery_codes[1], within="prove")
        page.click("Continue", within="prove")
        page.see('"activity"')

    def buy(self) -> None:
        page = self.browser
        page.click("Paint a picture")
        page.see("402 insufficient_credits")
        page.click("Buy: Small pack of credits")
        page.see("Pay 5.00 EUR")
        page.click("Pay 5.00 EUR")
        page.see("Your credits are there")
        page.click("Paint a picture")
        page.see("470 credits left")
        self.see_requests()
        self.picture("9-bought")

    def see_requests(self) -> None:
        """Check the requests behind the last click, from the page's own calls to those of the shop's server."""
        page = self.browser
        page.click("Requests")
        page.click("POST /demo/api/pictures")
        page.see("POST /v1/credits/use 201")
        self.picture("9-requests")
        page.click("Requests")

    def subscribe(self) -> None:
        page = self.browser
        page.click("Subscribe: Basic subscription")
        page.click("Pay 9.00 EUR")
        page.see("sub_basic, active, renews")
        page.see("subscription")
        page.click("Cancel it")
        page.see("sub_basic, active, ends")
        self.picture("10-cancelled")
        page.click("Keep it after all")
        page.see("sub_basic, active, renews")
        page.click("Cancel it")
        page.see("sub_basic, active, ends")

    def link_google(self) -> None:
        page = self.browser
        page.click("Link a Google account")
        page.click("109")
        page.see("You can now sign in with Google.")
        page.click("Unlink Google")
        page.see("Google is unlinked.")
        page.see("Not linked.")

    def change_password(self) -> None:
        page = self.browser
        page.fill("Current password", self.password)
        self.password = secrets.token_urlsafe(16)
        page.fill("New password", self.password)
        page.click("Change the password")
        page.see("The password is changed")

    def change_address(self) -> None:
        page = self.browser
        self.email = self.email.replace("grace", "hopper")
        page.fill("New email address", self.email)
        page.click("Change the address")
        link = page.wait(
            "[...document.querySelectorAll('#mails a')].map((link) => link.href)"
            ".find((link) => link.includes('confirm-email-change'))",
            "The mail to the new address",
        )
        self.picture("11-address")
        page.go(link)
        page.click("Use this address")
        page.wait("document.querySelector('button') === null", "The end of the change")
        page.go(self.home)
        page.see("Forgotten password")  # every session has ended
        self.give_password()
        page.click("Use a passkey", within="second-step")
        page.see(self.email)

    def delete_and_keep(self) -> None:
        page = self.browser
        page.fill("Type", "delete", within="delete")
        page.click("Delete the account", within="delete")
        page.see("The account will be deleted on")
        self.give_password()
        page.see("403 deletion_pending")
        self.picture("12-deletion")
        page.click("Keep the account and sign in")
        page.click("Use a passkey", within="second-step")
        page.see("Recent activity")
        page.click("Sign out")

    def use_google(self) -> None:
        """Sign in through the provider, which asks who you are; the first time creates an account."""
        page = self.browser
        page.click("Sign in with Google")
        page.click("108")
        page.see("ada@gmail.test")
        page.see("Linked.")
        self.picture("13-google")
        page.click("Sign out")
        page.see("Signed out.")


CHAPTERS: dict[str, Callable[[Story], None]] = {
    "registers, is refused a short password, confirms the address": Story.register,
    "signs in by password": Story.sign_in,
    "stays signed in": Story.stay_signed_in,
    "ends another session, then all others": Story.end_sessions,
    "adds an authenticator app": Story.add_app,
    "signs in with its code, then with a recovery code": Story.sign_in_in_two_steps,
    "adds a passkey and signs in by it, alone and as second step": Story.use_passkey,
    "is asked for a proof, and exports the data": Story.prove_again,
    "buys a pack and spends": Story.buy,
    "subscribes, cancels, and thinks twice": Story.subscribe,
    "links a Google account, and unlinks it": Story.link_google,
    "changes the password": Story.change_password,
    "changes the address": Story.change_address,
    "deletes the account, and keeps it": Story.delete_and_keep,
    "signs in with Google": Story.use_google,
}


def run(settings: Mapping[str, str], directory: Path) -> int:
    """Return 0 if all of it worked; otherwise print the reason and return 1."""
    home = f"http://localhost:{settings.get('PORT', '8000')}/demo"
    pictures = directory / "demo"
    pictures.mkdir(parents=True, exist_ok=True)
    try:
        require_all(home)
        with Browser.opened() as browser:
            browser.size(WIDTHS["desk"])
            story = Story(browser, home=home, pictures=pictures)
            try:
                for title, chapter in CHAPTERS.items():
                    with timed(title):
                        chapter(story)
            finally:
                refuse_complaints(browser.console)
    except (BrowserFailed, OSError) as problem:
        print(f"\nThe demo stops here: {problem}", file=sys.stderr)
        return 1
    print(f"\nEverything was as it should be. Pictures: {pictures}")
    return 0


def require_all(home: str) -> None:
    """Check that each server that the story needs is there. Raise BrowserFailed, or OSError if nothing answers."""
    with urllib.request.urlopen(home, timeout=10) as answer:  # noqa: S310  (this machine's own page)
        text = answer.read().decode()
    if missing := [option for option in ("--with-google", "--with-stripe") if option in text]:
        raise BrowserFailed(f"start it as script/server {' '.join(missing)}")


def refuse_complaints(console: list[str]) -> None:
    """Raise BrowserFailed for errors of scripts and of the policy; refusals that the story provokes do not count."""
    if bad := [line for line in console if "Failed to load resource" not in line]:
        raise BrowserFailed("the console says: " + "; ".join(bad))


@contextmanager
def timed(title: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"A person {title}", end="", flush=True)
    yield
    print(f"   {time.monotonic() - started:.1f} s", flush=True)
