"""The operator's brand, as people see it: in mails, on the pages behind their links, and on receipts."""

import re
from pathlib import Path

from config.settings.environment import env, refuse

LEAST_CONTRAST = 4.5  # of white text on the colour (WCAG 2.2, 1.4.3)


def _contrast_with_white(color: str) -> float:
    """Return the contrast ratio of `#rrggbb` with white, by WCAG 2.2."""
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def _color() -> str:
    color = env.str("BRAND_COLOR").lower()
    if not re.fullmatch("#[0-9a-f]{6}", color):
        raise refuse("BRAND_COLOR", "must be a colour such as #1f5fbf.")
    if _contrast_with_white(color) < LEAST_CONTRAST:
        raise refuse("BRAND_COLOR", "is too light: white text on it cannot be read. Choose a darker one.")
    return color


def _logo() -> str:
    url = env.str("BRAND_LOGO")
    if url and not re.fullmatch(r"https://[\w.-]+(:\d+)?/[!#-;=?-~]*", url, re.ASCII):
        raise refuse("BRAND_LOGO", "must be the https:// address of an image.")
    return url


def _address(variable: str) -> str:
    """Return a plain address, without a name: it is used in a header and a link."""
    address = env.str(variable)
    if address and not re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", address, re.ASCII):
        raise refuse(variable, "must be one email address, without a name, such as help@example.com.")
    return address


def _templates() -> list[Path]:
    text = env.str("TEMPLATES_DIR")
    if text and not Path(text).is_dir():
        raise refuse("TEMPLATES_DIR", "is not a directory.")
    return [Path(text).resolve()] if text else []


BRAND_COLOR = _color()
BRAND_LOGO = _logo()
SUPPORT_EMAIL = _address("SUPPORT_EMAIL")
MAIL_REPLY_TO = _address("MAIL_REPLY_TO") or SUPPORT_EMAIL
IMPRINT = env.list("IMPRINT", between=";")
OWN_TEMPLATES = _templates()  # searched before ours
