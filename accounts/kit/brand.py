"""The branding for templates of mails and pages (config/settings/brand.py)."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings


def context() -> dict[str, Any]:
    return {
        "service": settings.SERVICE_NAME,
        "brand_color": settings.BRAND_COLOR,
        "logo": settings.BRAND_LOGO,
        "support": settings.SUPPORT_EMAIL,
        "imprint": settings.IMPRINT,
    }


def image_sources() -> str:
    """Return the image sources for a page's Content-Security-Policy: the icon and the logo."""
    logo = urlsplit(settings.BRAND_LOGO)
    return f"data: {logo.scheme}://{logo.netloc}" if logo.netloc else "data:"
