"""Tell the product's story over HTTP, checking each answer: `script/demo`. The service in it calls through
clients/python.
"""

import os
import re
import secrets
import sys
import time
import uuid
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from typing import Any

from demo_client import Answer, Public, Unexpected, Wire, expect, shortened

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "clients" / "python" / "src")]

import demo_browser  # noqa: E402
import dev_env  # noqa: E402
from auth_service_client import AuthServiceError, Client  # noqa: E402
from auth_service_client.problems import InsufficientCredits  # noqa: E402

BROWSER = "--browser"
MAIL_PATIENCE_SECONDS = 30.0
TOKEN_IN_LINK = re.compile(r"[?&#]token=([\w.~%-]+)")


def main(arguments: list[str]) -> int:
    if arguments not in ([], [BROWSER]):
        sys.exit(f"Unknown: {' '.join(arguments)}. There is {BROWSER}.")
    directory = Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve()
    settings = {**known_secrets(directory), **os.environ}
    if arguments:
        return demo_browser.run(settings, directory)
    wire = Wire()
    public = Public(f"http://127.0.0.1:{settings.get('PORT', '8000')}", wire)
    internal = f"http://127.0.0.1:{settings.get('INTERNAL_PORT', '8001')}"
    service = Client(internal, settings["INTERNAL_API_KEY"], http=wire.http, patience=10)
    try:
        user_id = sign_up_and_in(public, directory / "mail")
        give_and_spend(service, user_id, wire)
    except (Unexpected, AuthServiceError) as problem:
        print(f"\nThe demo stops here: {problem}", file=sys.stderr)
        return 1
    print("\nAll answers were as they should be.")
    return 0


def known_secrets(directory: Path) -> dict[str, str]:
    try:
        return dev_env.parse((directory / "dev.env").read_text())
    except OSError:
        sys.exit(
            f"There is no readable {directory / 'dev.env'}: start script/server first, with the same VAR_DIR."
        )


def sign_up_and_in(public: Public, mails: Path) -> str:
    """Register a person, verify the address, sign in and refresh; return the user's id."""
    email, password = f"demo-{uuid.uuid4().hex[:12]}@example.com", secrets.token_urlsafe(18)

    title("A person registers")
    registration = {"email": email, "password": password, "display_name": "Demo"}
    public.post("/v1/auth/register", registration).expect(202)

    title("reads the mail")
    token = token_from_mail(mails, email)

    title("verifies the address")
    public.post("/v1/auth/verify-email", {"token": token}).expect(200, email=email, email_verified=True)

    title("signs in")
    tokens = public.post("/v1/auth/login", {"email": email, "password": password})
    tokens.expect(200, token_type="Bearer", expires_in=3600)  # noqa: S106  (a kind of token)

    title("asks who that is")
    profile = me(public, tokens)
    profile.expect(200, email=email, email_verified=True, display_name="Demo", status="active")

    title("and renews the tokens")
    renewed = public.post("/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}).expect(200)
    if renewed["refresh_token"] == tokens["refresh_token"]:
        raise Unexpected("refresh_token should be a new one")
    me(public, renewed).expect(200, id=profile["id"])
    return str(profile["id"])


def me(public: Public, tokens: Answer) -> Answer:
    return public.get("/v1/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})


def give_and_spend(service: Client, user_id: str, wire: Wire) -> None:
    """Act as another service, with its API key, on the internal listener."""
    title("A service gives 100 credits")
    gift = service.credits.add(user_id=user_id, amount=100, description="Welcome")
    expect(gift, amount=100, balance_after=100)

    title("uses 30 of them")
    key = str(uuid.uuid4())
    first = service.credits.use(user_id=user_id, amount=30, description="One picture", idempotency_key=key)
    expect(first, amount=-30, balance_after=70)

    title("repeats that with the same key, as after a lost answer: one charge")
    again = service.credits.use(user_id=user_id, amount=30, description="One picture", idempotency_key=key)
    expect(again, id=first["id"], balance_after=70)
    if not wire.replayed:
        raise Unexpected("the header Idempotency-Replayed is missing")

    title("tries to use more than there is")
    use_too_much(service, user_id)

    title("holds 50 while it works, and captures the 20 that the work has cost")
    with service.hold(user_id=user_id, amount=50, description="An answer") as hold:
        hold.capture(amount=20)

    title("and reads the balance and the history")
    expect(service.credits.balance(user_id=user_id), balance=50, available=50, held=0)
    history = [(row["type"], row["amount"]) for row in service.credits.transactions(user_id=user_id)]
    if history != [("use", -20), ("hold", 0), ("use", -30), ("bonus", 100)]:
        raise Unexpected(f"the history is {history}")


def use_too_much(service: Client, user_id: str) -> None:
    try:
        service.credits.use(user_id=user_id, amount=1000)
    except InsufficientCredits as refusal:
        expect({"available": refusal.available, "required": refusal.required}, available=70, required=1000)
    else:
        raise Unexpected("1000 credits could be used")


def title(text: str) -> None:
    print(f"\n{text}")


def token_from_mail(directory: Path, address: str) -> str:
    """Wait for the mail, show its headers, and return the token from its link."""
    deadline = time.monotonic() + MAIL_PATIENCE_SECONDS
    while (message := newest_mail(directory, address)) is None:
        if time.monotonic() > deadline:
            raise Unexpected(
                f"no mail to {address} in {directory} after {MAIL_PATIENCE_SECONDS:.0f} s; does the worker run?"
            )
        time.sleep(0.1)
    print(f"  From: {message['From']}\n  To: {message['To']}\n  Subject: {message['Subject']}")
    body = message.get_body(("plain", "html"))
    found = TOKEN_IN_LINK.search(body.get_content()) if body else None
    if found is None:
        raise Unexpected("the mail has no link with a token")
    print(f"  ... a link with the token {shortened(found[1])}")
    return found[1]


def newest_mail(directory: Path, address: str) -> EmailMessage | None:
    for path in sorted(directory.glob("*.eml"), key=lambda mail: mail.stat().st_mtime, reverse=True):
        message: Any = message_from_bytes(path.read_bytes(), policy=modern)
        if address in str(message["To"]) and message.get_body(("plain", "html")):
            return message if isinstance(message, EmailMessage) else None
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
