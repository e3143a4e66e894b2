"""Describe a device in a mail in fixed words, chosen by its User-Agent; the header's own text is never shown."""

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
VERSIONS = "[0-9]+([._][0-9]+)*"  # has the same meaning in Python and PostgreSQL
_VERSIONS = re.compile(VERSIONS)


def describe(user_agent: str) -> str:
    """Return a description such as `Firefox on Windows` in the active language; empty if nothing is recognised."""
    program, system = _first(_PROGRAMS, user_agent), _first(_SYSTEMS, user_agent)
    if program and system:
        return _("%(program)s on %(system)s") % {"program": program, "system": system}
    return program or system


def likeness(user_agent: str) -> str:
    """Return the header without version numbers, so that an updated browser is still the same one."""
    return _VERSIONS.sub("", user_agent)


def _first(known: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for sign, name in known if sign in text), "")
