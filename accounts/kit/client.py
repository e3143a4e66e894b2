"""Where a request comes from: the one place that reads X-Forwarded-For."""

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

USER_AGENT_LENGTH = 255
HOME_BITS_IPV4, HOME_BITS_IPV6 = 24, 64


class Client(NamedTuple):
    """The device at the other end, as sessions and audit rows keep it."""

    ip: str | None
    user_agent: str
    device_token: str = ""  # what it says it got at an earlier sign-in; unchecked, and never kept
    asserted: str | None = None  # the address that a front end's server says it has (accounts/front_ends)

    @property
    def limited_ip(self) -> str | None:
        """Return the address by which quotas count it: behind a front end's server people have one each."""
        return self.asserted or self.ip

    @property
    def home(self) -> str:
        """Return where it may be known from; nowhere, if all that says so is someone else."""
        return "" if self.asserted else home_of(self.ip)


def client_of(request: HttpRequest | Request, *, device_token: str | None = None) -> Client:
    """Return who calls. An assertion that came along is judged, and used up, by the first call for a request."""
    judge = getattr(request, "judge_assertion", None)
    asserted = None if judge is None else judge()
    return Client(client_ip(request), user_agent(request), device_token or "", asserted)


def client_ip(request: HttpRequest | Request) -> str | None:
    """Return the socket's address, or the one that the trusted proxies of this listener report, from the right.

    What stands further left was written by the caller and is never looked at. Fewer entries than proxies means that
    the request went round them: then the socket counts. None on a Unix socket.
    """
    peer = as_address(request.META.get("REMOTE_ADDR", ""))
    proxies = settings.TRUSTED_PROXY_COUNT
    if not proxies:
        return peer
    reported = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if len(reported) < proxies:
        return peer
    return as_address(reported[-proxies]) or peer


class Around(NamedTuple):
    """Name a network that the client is in, and say how many times the tries of one customer it may have."""

    name: str
    share: float


def networks(ip: str | None) -> list[Around]:
    """Return what limits by network count (settings.LIMITED_NETWORKS): one customer's first, then the wider ones."""
    if ip is None:
        return [Around("unknown", 1.0)]
    sizes = settings.LIMITED_NETWORKS[6 if ":" in ip else 4]
    return [Around(str(within(ip, bits)).removesuffix("/32"), share) for bits, share in sizes]


def network(ip: str | None) -> str:
    """Return the narrowest of them: an IPv4 address, or the /64 that one IPv6 customer has."""
    return networks(ip)[0].name


def home_of(ip: str | None) -> str:
    """Return the network in which someone is likely to be again: an IPv4 /24, an IPv6 /64; empty on a Unix socket."""
    return "" if ip is None else str(within(ip, HOME_BITS_IPV6 if ":" in ip else HOME_BITS_IPV4))


def within(ip: str, bits: int) -> IPv4Network | IPv6Network:
    """Return the network of so many bits that has the address."""
    return ip_network(f"{ip}/{bits}", strict=False)


def user_agent(request: HttpRequest | Request) -> str:
    """The User-Agent header, cut to what a session keeps, without control characters."""
    text = request.META.get("HTTP_USER_AGENT", "")[:USER_AGENT_LENGTH]
    return "".join(character for character in text if character.isprintable())


def as_address(text: str) -> str | None:
    """Return an address in one spelling: no port, no brackets, no zone; an IPv4 one mapped into IPv6 as IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
