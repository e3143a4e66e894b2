"""Names a device in a mail: in words of ours, chosen by its User-Agent, never the header's own text."""

import re

from django.utils.translation import gettext as _

_PROGRAMS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
    ("curl", "curl"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
VERSIONS = "[0-9]+([._][0-9]+)*"  # means the same to Python and to PostgreSQL
_VERSIONS = re.compile(VERSIONS)


def describe(user_agent: str) -> str:
    """`Firefox on Windows`, in the active language; empty where it says nothing we know."""
    program, system = _first(_PROGRAMS, user_agent), _first(_SYSTEMS, user_agent)
    if program and system:
        return _("%(program)s on %(system)s") % {"program": program, "system": system}
    return program or system


def likeness(user_agent: str) -> str:
    """The header without its version numbers: a browser that has updated itself is the same one."""
    return _VERSIONS.sub("", user_agent)


def _first(known: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for sign, name in known if sign in text), "")
