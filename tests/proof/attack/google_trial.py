"""Checks attacks on the sign-in with Google: the refusal is the one that the contract names, and no row has changed."""

import secrets
from collections import Counter
from collections.abc import Callable
from typing import Any

from calls import Answer
from google_browser import Browser, provider_of
from instance import Instance
from report import Report

Refusal = tuple[int, str]
Rows = dict[str, tuple[int, str]]

PERSON = "600"  # at the provider: has an account here from the first sign-in on
STATE_INVALID: Refusal = (400, "state_invalid")
TABLES = {
    "users": "accounts_user",
    "links": "socialaccount_socialaccount",
    "sessions": "accounts_session",
    "audit events": "accounts_auditevent",
    "events": "accounts_serviceevent",
}
_ONE = """
SELECT count(*), coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '') FROM {table} t
"""
_ROWS = " UNION ALL ".join(f"({_ONE.format(table=table)})" for table in TABLES.values())


class Trial:
    """Runs attacks and checks them. `rows` are those after the last call that succeeded."""

    def __init__(self, instance: Instance, report: Report) -> None:
        self.instance, self.report = instance, report
        self.google = provider_of(instance)
        self.email = f"google-{secrets.token_hex(4)}@attack.example"  # of the person who signs in
        self.answers: Counter[str] = Counter()
        self.changed = 0  # attacks after which a row was another
        self.rows: Rows = {}
        self.look()

    def look(self) -> Rows:
        """Read the rows again, after a legitimate sign-in."""
        self.rows = self._read()
        return self.rows

    def _read(self) -> Rows:
        found = self.instance.rows(_ROWS)
        return {name: (count, digest) for name, (count, digest) in zip(TABLES, found, strict=True)}

    def browser(self) -> Browser:
        return Browser(self.instance)

    def id_token(self, nonce: str, *, subject: str = PERSON, **changes: Any) -> str:
        return self.google.forge(self.google.claims(subject, nonce=nonce, **changes))

    def redirected(self, browser: Browser, url: str, id_token: object) -> Answer:
        """Come back with a genuine code, for which Google returns this ID token."""
        brought = self.google.authorize(url, PERSON)
        self.google.order(id_token=id_token)
        try:
            return browser.come_back(brought)
        finally:
            self.google.order()

    def refused(self, name: str, answer: Answer, refusal: Refusal) -> None:
        """Check that an attack was refused as expected and changed no row."""
        got = (answer.status, answer.code)
        self.answers[f"{answer.status} {answer.code}".strip()] += 1
        self.report.require(got == refusal, f"{name}: answered {got}, not {refusal}")
        now = self._read()
        different = [table for table in TABLES if now[table] != self.rows[table]]
        self.changed += bool(different)
        self.report.require(not different, f"{name}: changed {', '.join(different)}")
        self.rows = now

    def let_in(self, name: str, answer: Answer) -> Any:
        """Check that a legitimate call succeeds, so that not everything is refused."""
        self.report.require(answer.status == 200, f"{name}: answered {answer.status} {answer.code}")
        self.look()
        return answer.body

    def chapter(self, name: str, attack: Callable[["Trial"], None]) -> None:
        """Run a group of attacks, and report it as one line of the table."""
        self.answers.clear()
        attack(self)
        total = sum(self.answers.values())
        self.report.line(name, total, *(f"{count} x {what}" for what, count in self.answers.most_common()))
