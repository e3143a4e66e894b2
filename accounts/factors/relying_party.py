"""The scope of passkeys: one name (the relying party id), and the origins that may use it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings
from fido2.webauthn import PublicKeyCredentialRpEntity


def entity() -> PublicKeyCredentialRpEntity:
    return PublicKeyCredentialRpEntity(id=name(), name=settings.SERVICE_NAME)


def name() -> str:
    """Return WEBAUTHN_RP_ID, or the front end's host."""
    return str(settings.WEBAUTHN_RP_ID) or _host(_home())


def origins() -> frozenset[str]:
    """Return WEBAUTHN_ORIGINS, or the origins of the front end and the admin."""
    homes = [_home(), *filter(None, [settings.ADMIN_BASE_URL])]
    return frozenset(settings.WEBAUTHN_ORIGINS or map(_origin, homes))


def _home() -> str:
    return str(settings.FRONTEND_URL or settings.PUBLIC_BASE_URL)


def _host(url: str) -> str:
    """Return the URL's host, with localhost for a loopback address, which browsers do not accept as a name."""
    host = urlsplit(url).hostname or ""
    try:
        return "localhost" if ip_address(host).is_loopback else host
    except ValueError:
        return host


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{_host(url)}{port}"
