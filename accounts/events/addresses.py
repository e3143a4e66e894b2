"""Rules about where events may be sent, to prevent access to the internal network (OWASP: SSRF prevention).

A host must be listed in settings.EVENT_WEBHOOK_HOSTS. It is resolved once per delivery, all of its addresses must be
allowed, and the connection goes to the address that was checked, so a later change of the name has no effect (DNS
rebinding).
"""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from django.conf import settings

DEFAULT_PORTS = {"https": 443, "http": 80}
LONGEST_URL = 500
# IPv6 ranges that lead to IPv4 addresses: 6to4, Teredo, NAT64 (RFC 3056, 4380, 6052).
TRANSLATED = tuple(
    ip_network(network) for network in ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48")
)

Address = IPv4Address | IPv6Address


class AddressRefused(Exception):
    """Nothing may be sent there; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL whose host is allowed."""

    tls: bool
    host: str
    port: int
    path: str


def parse(url: str) -> Target:
    """Parse a URL. Raise AddressRefused unless it is https, plain, and of a listed host."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("This is not a valid URL.") from None
    if parts.scheme not in _schemes() or not parts.hostname:
        raise AddressRefused("The URL must begin with https://.")
    if parts.username is not None or parts.password is not None or parts.fragment or not _is_plain(url):
        raise AddressRefused("The URL may have a host, a port, a path and a query, and nothing else.")
    target = Target(
        tls=parts.scheme == "https",
        host=parts.hostname,
        port=port or DEFAULT_PORTS[parts.scheme],
        path=f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}",
    )
    if _place(target) not in settings.EVENT_WEBHOOK_HOSTS:
        raise AddressRefused(f"{_place(target)} is not among EVENT_WEBHOOK_HOSTS.")
    return target


def pin(target: Target) -> str:
    """Return the address to connect to. Raise AddressRefused if any of the host's is not allowed, or OSError."""
    addresses = [ip_address(text.partition("%")[0]) for text in resolve(target.host, target.port)]
    for address in addresses:
        _judge(address, target)
    if not addresses:
        raise AddressRefused("The host name does not resolve.")
    return str(addresses[0])


def resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _schemes() -> set[str]:
    return {"https", "http"} if settings.EVENT_WEBHOOK_PLAIN_HTTP else {"https"}


def _is_plain(url: str) -> bool:
    """Return whether all parsers read the URL alike: printable ASCII, without spaces or backslashes."""
    return url.isascii() and url.isprintable() and not set(url) & {" ", "\\"} and len(url) <= LONGEST_URL


def _place(target: Target) -> str:
    return f"{target.host}:{target.port}"


def _judge(address: Address, target: Target) -> None:
    real = getattr(address, "ipv4_mapped", None) or address
    named = any(real in network for network in settings.EVENT_WEBHOOK_HOSTS[_place(target)])
    if not named and not _is_public(real):
        raise AddressRefused("The host is in a private network that EVENT_WEBHOOK_HOSTS does not allow.")
    if not target.tls and not real.is_loopback:
        raise AddressRefused("Without TLS, events are sent only to loopback addresses.")


def _is_public(address: Address) -> bool:
    translated = any(address.version == one.version and address in one for one in TRANSLATED)
    return address.is_global and not address.is_multicast and not translated
