"""Check where Checkout and the portal may send people back to: listed hosts only, so that no one is led elsewhere."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings

from accounts.kit.problems import ValidationFailed

LONGEST = 2000
# Refuses what browsers and parsers interpret differently: backslashes, spaces, control characters, anything that is not
# ASCII. Braces are Stripe's: `?session_id={CHECKOUT_SESSION_ID}`.
_FORM = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]+(?:[/?#][A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%{}]*)?")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def check(**urls: str) -> None:
    """Raise a ValidationFailed that names each field whose host is not allowed. Plain HTTP only for this machine."""
    faults = [
        (field, "url_not_allowed", "Must be an https address at one of BILLING_RETURN_HOSTS.")
        for field, url in urls.items()
        if not is_allowed(url)
    ]
    if faults:
        raise ValidationFailed(*faults)


def is_allowed(url: str) -> bool:
    if len(url) > LONGEST or not _FORM.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port
    except ValueError:
        return False
    if "@" in parts.netloc or (parts.scheme != "https" and host not in LOOPBACK):
        return False
    places = set(_allowed())
    return (host, port) in places or (host in LOOPBACK and (host, None) in places)


def _allowed() -> Iterator[tuple[str, int | None]]:
    """Yield the allowed hosts (`app.example.com`, `localhost:3000`, `localhost` for any port), and FRONTEND_URL's."""
    for entry in settings.BILLING_RETURN_HOSTS:
        parts = urlsplit(f"//{entry}")
        yield parts.hostname or "", parts.port
    if settings.FRONTEND_URL:
        parts = urlsplit(settings.FRONTEND_URL)
        yield parts.hostname or "", parts.port
