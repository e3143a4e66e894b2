"""What `script/server` says once it serves: where, and commands that work as they stand in another terminal."""

import shlex
from collections.abc import Mapping
from pathlib import Path

EMAIL = "ada@example.com"
PASSWORD = "a quiet harbour at dawn"  # noqa: S105  (of an example account, on this machine only)


def greeting(environment: Mapping[str, str], *, seconds: float) -> str:
    public, internal, admin = (
        f"http://127.0.0.1:{environment[name]}" for name in ("PORT", "INTERNAL_PORT", "ADMIN_PORT")
    )
    secrets = Path(environment["VAR_DIR"]) / "dev.env"
    stripe = stripe_lines(environment.get("STRIPE_API_BASE"), internal)
    demo = f"http://localhost:{environment['PORT']}/demo"
    commands = "\n".join(f"  {line}" for line in example_commands(public, internal, secrets))
    return f"""
Ready after {seconds:.1f} s. Ctrl-C stops everything.

  to try    {demo}     all of it on one page, in a browser{demo_hint(environment)}
  public    {public}/docs     registration, sign-in, account
  internal  {internal}/docs     credits, look-ups; for services, with an API key
  admin     {admin}/admin/   sign in as $ADMIN_EMAIL with $ADMIN_PASSWORD of dev.env; the first time
            by the link that this prints: script/manage staff_enrol {environment.get("ADMIN_EMAIL", "EMAIL")}
  mails     {environment["VAR_DIR"]}/mail/*.eml   their links are shown here too
  secrets   {secrets}

In another terminal, line by line:

{commands}
{stripe}
The whole story in one command: script/demo

"""


def example_commands(public: str, internal: str, secrets: Path) -> list[str]:
    """One of each kind; later lines use the variables that earlier ones set."""
    credentials = f'{{"email": "{EMAIL}", "password": "{PASSWORD}"}}'
    json = "-H 'Content-Type: application/json'"
    key = '-H "X-API-Key: $INTERNAL_API_KEY"'
    fresh = '-H "Idempotency-Key: %s-$(date +%%s)-$$"'
    body = '"{\\"user_id\\": \\"$USER_ID\\", \\"amount\\": %d}"'
    return [
        f"curl -sS {public}/v1/auth/register {json} -d '{credentials}'",
        f"curl -sS {public}/v1/auth/login {json} -d '{credentials}'",
        f"TOKEN=$(curl -sS {public}/v1/auth/login {json} -d '{credentials}' | {pick('access_token')})",
        f'curl -sS {public}/v1/auth/me/status -H "Authorization: Bearer $TOKEN"',
        f". {shlex.quote(str(secrets))}",
        f"USER_ID=$(curl -sS {internal}/v1/users/by-email/{EMAIL} {key} | {pick('id')})",
        f"curl -sS {internal}/v1/credits/add {key} {fresh % 'add'} {json} -d {body % 100}",
        f"curl -sS {internal}/v1/credits/use {key} {fresh % 'use'} {json} -d {body % 30}",
        f'curl -sS "{internal}/v1/credits/balance?user_id=$USER_ID" {key}',
    ]


def stripe_lines(address: str | None, internal: str) -> str:
    """How to pay by hand, where a fake Stripe runs beside the service."""
    if not address:
        return ""
    body = '"{\\"user_id\\": \\"$USER_ID\\", \\"plan\\": \\"pack_small\\", '
    urls = f'\\"success_url\\": \\"{address}/done\\", \\"cancel_url\\": \\"{address}/done\\"}}"'
    return f"""
  stripe    {address}   a fake one: nothing is charged, its test cards are on the page

To pay without a page, open the `url` that this answers with:

  curl -sS {internal}/v1/billing/checkout-sessions -H "X-API-Key: $INTERNAL_API_KEY" \\
    -H "Idempotency-Key: pay-$(date +%s)-$$" -H 'Content-Type: application/json' \\
    -d {body}{urls}
"""


def demo_hint(environment: Mapping[str, str]) -> str:
    """What the page could do besides, with servers in the place of others."""
    wanted = {"GOOGLE_CLIENT_ID": "--with-google", "STRIPE_SECRET_KEY": "--with-stripe"}
    missing = [option for name, option in wanted.items() if not environment.get(name)]
    return f"; more of it with {' '.join(missing)}" if missing else ""


def pick(field: str) -> str:
    """A shell filter that takes one string out of a JSON answer; jq is not everywhere."""
    return f"""sed 's/.*"{field}": *"\\([^"]*\\)".*/\\1/'"""
