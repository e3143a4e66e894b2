"""The sections of the OpenAPI documents, the names of their operations, and what readers should know first."""

import re
from datetime import timedelta
from typing import Any

from django.conf import settings

# The modules of views, in the order in which /docs shows their sections.
SECTION_OF_MODULE = {
    "accounts.views.registration": "Sign up",
    "accounts.views.sign_in": "Sign in",
    "accounts.views.factor_sign_in": "Sign in",
    "accounts.views.google": "Google",
    "accounts.views.sessions": "Sessions",
    "accounts.views.factors": "Second factors",
    "accounts.views.mfa_reset": "Second factors",
    "accounts.views.me": "Account",
    "accounts.views.personal_data": "Account",
    "accounts.views.password": "Password and address",
    "accounts.views.address": "Password and address",
    "credits.views.journal": "Credits",
    "credits.views.batch": "Credits",
    "credits.views.alerts": "Credits",
    "credits.views.holds": "Holds",
    "billing.views.buying": "Billing",
    "billing.views.keeping": "Billing",
    "billing.views.webhook": "Billing",
    "accounts.views.users": "Users",
    "accounts.views.tokens": "Tokens",
    "accounts.views.events": "Events",
    "config.health": "Health",
}
_ABOUT = {
    "Sign up": "Register, and confirm the email address with the mailed link or code.",
    "Sign in": "Use a password or a passkey, then a second factor if needed; refresh tokens and sign out.",
    "Google": "Sign in with Google, by redirect or with an ID token, and link a Google account.",
    "Sessions": "List and end sessions, one for each signed-in device; reauthenticate for sensitive calls.",
    "Second factors": "Authenticator apps, passkeys and recovery codes.",
    "Account": "Read, update, export and delete the signed-in user's account.",
    "Password and address": "Reset and change the password; change the email address and undo it.",
    "Credits": "The ledger: balances, use, refunds, and every transaction.",
    "Holds": "Set credits aside before work whose cost is not known yet, then capture what it cost.",
    "Billing": "Everything a user can buy or has bought, through Stripe.",
    "Users": "Look up users.",
    "Tokens": "Verify users' tokens.",
    "Events": "Everything that happened to users, in order.",
    "Health": "For load balancers and supervisors.",
}
_LEFT_OUT = frozenset({"a", "an", "the", "your"})

_PROBLEMS = """\
## Errors

Every error response is a problem document (RFC 9457, `application/problem+json`). Branch on its `code`, which is
stable; each code has its own schema here, with any additional members. Show `detail` to people, and log `request_id`.

## Limits

`429` and `503` responses carry `Retry-After`, in seconds. Rate-limited calls report what is left in `RateLimit`."""
_PUBLIC = """\
This API serves apps and browsers that act for one user.

## Tokens

Signing in returns an `access_token` and a `refresh_token`. Send the access token as
`Authorization: Bearer <access token>`. It is valid for {access} minutes; before it expires, exchange the refresh token
for new tokens at `POST /v1/auth/refresh`. A refresh token works once: using a copy later ends the session. To retry a
refresh whose response was lost, send the same `Idempotency-Key` again.

## Second factors

If an account has one, signing in returns `401` `mfa_required` with an `mfa_token` and the `methods` that the account
has. Send the token with one of them to `POST /v1/auth/login/mfa`, which returns the tokens. Signing in with a passkey
needs no second step.

## Recent sign-in

Sensitive calls return `403` `reauthentication_required` when the sign-in is more than {recent} minutes old, with the
`methods` that the account can use to reauthenticate. `POST /v1/auth/reauthenticate` returns an access token that
carries the proof.

{problems}
"""
_INTERNAL = """\
This API serves other services, on a private network. Send the service's key as `X-API-Key`; each operation names the
scope it needs.

## Retries

Calls that are not safe to repeat need an `Idempotency-Key` of 1 to 255 printable ASCII characters. Generate one for
each intended change and send it with every attempt: the same key with the same request returns the first response
again, with `Idempotency-Replayed: true`. Retry after a time-out, a `503` or a `409` `idempotency_in_progress`. A
refused call does not use up its key.

## Credits

Amounts are whole numbers, from 1 to 10^12 in a request. `use` spends credits at once; a hold sets them aside until
`capture` or `release`, or until it expires.

{problems}
"""


def of(view: Any) -> str:
    """Return the section (OpenAPI: tag) of a view."""
    return SECTION_OF_MODULE[type(view).__module__]


def identifier_of(summary: str) -> str:
    """Return the operationId: "Sign in with a passkey" is `signInWithPasskey`. Clients name their methods by it."""
    words: list[str] = [
        word for word in re.findall(r"\w+", summary.replace("'s", "")) if word.lower() not in _LEFT_OUT
    ]
    return words[0].lower() + "".join(word[0].upper() + word[1:] for word in words[1:])


def introduction(urlconf: str) -> str:
    """Return what a reader should know before the first call, in Markdown."""
    text = _INTERNAL if urlconf.endswith("internal") else _PUBLIC
    return text.format(
        access=_minutes(settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"]),
        recent=_minutes(settings.RECENT_SIGN_IN),
        problems=_PROBLEMS,
    )


def _minutes(time: timedelta) -> int:
    return int(time.total_seconds() // 60)


def tags(used: set[str]) -> list[dict[str, str]]:
    """Return the sections that a document uses, in order."""
    return [{"name": name, "description": text} for name, text in _ABOUT.items() if name in used]
