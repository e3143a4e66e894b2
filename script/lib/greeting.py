"""The screen that `script/server` shows once it serves: where everything is, and what to do next."""

from collections.abc import Mapping
from pathlib import Path


def greeting(environment: Mapping[str, str], *, enrolment: str = "", seconds: float) -> str:
    """Return the text. `enrolment` is the link of an admin just created, who has no second factor yet."""
    public, internal, admin = (
        f"http://localhost:{environment[name]}" for name in ("PORT", "INTERNAL_PORT", "ADMIN_PORT")
    )
    directory = Path(environment["VAR_DIR"])
    return f"""
Ready after {seconds:.1f} s. Ctrl-C stops everything.

  Demo      {public}/demo     all of it on one page{demo_hint(environment)}
  API       {public}/docs     for browsers and apps
            {internal}/docs     for services, with the API key of dev.env
  Admin     {admin}/admin/{admin_hint(environment, enrolment)}
{stripe_line(environment)}  Mails     {directory}/mail/*.eml     their links are shown here too
  Secrets   {directory}/dev.env     keys and passwords of this copy

  script/demo              drives it as clients would, and prints each request and answer
  script/manage help       manage.py for this copy
  script/server --help     other ports, your own database, a fake Stripe and a fake Google

"""


def admin_hint(environment: Mapping[str, str], enrolment: str) -> str:
    """Return the admin's line: a password alone does not open it, so a new admin starts with the link."""
    email = environment["ADMIN_EMAIL"]
    if enrolment:
        return f"     as {email}; first, once:\n            {enrolment}"
    return f"     as {email}; the first time by the link of:\n            script/manage staff_enrol {email}"


def stripe_line(environment: Mapping[str, str]) -> str:
    address = environment.get("STRIPE_API_BASE")
    return (
        f"  Stripe    {address}     a fake: nothing is charged, its test cards are on the page\n"
        if address
        else ""
    )


def demo_hint(environment: Mapping[str, str]) -> str:
    """Return a hint about options that start stand-ins, so that the page can do more."""
    wanted = {"GOOGLE_CLIENT_ID": "--with-google", "STRIPE_SECRET_KEY": "--with-stripe"}
    missing = [option for name, option in wanted.items() if not environment.get(name)]
    return f"; more of it with {' '.join(missing)}" if missing else ""
