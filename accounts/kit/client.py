"""The client of a request. Only this module reads X-Forwarded-For."""

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

USER_AGENT_LENGTH = 255
HOME_BITS_IPV4, HOME_BITS_IPV6 = 24, 64


class Client(NamedTuple):
    """The calling device, as recorded in sessions and audit rows."""

    ip: str | None
    user_agent: str
    device_token: str = ""  # claimed to be from an earlier sign-in; unchecked, and never stored
    asserted: str | None = None  # the address asserted by a front end's server (accounts/front_ends)

    @property
    def limited_ip(self) -> str | None:
        """Return the address to which limits apply: behind a front end's server, each person has their own."""
        return self.asserted or self.ip

    @property
    def home(self) -> str:
        """Return the network in which the client may be known; empty if the address is only asserted."""
        return "" if self.asserted else home_of(self.ip)


def client_of(request: HttpRequest | Request, *, device_token: str | None = None) -> Client:
    """Return the client of a request. The first call checks, and uses up, an assertion if there is one."""
    judge = getattr(request, "judge_assertion", None)
    asserted = None if judge is None else judge()
    return Client(client_ip(request), user_agent(request), device_token or "", asserted)


def client_ip(request: HttpRequest | Request) -> str | None:
    """Return the socket's address, or the one that the listener's trusted proxies report, counted from the right.

    Entries further to the left are the caller's own, and are never read. With fewer entries than proxies the request
    has bypassed them, and the socket's address counts. None on a Unix socket.
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
    """A network that contains the client, and how many times one customer's limit it is allowed."""

    name: str
    share: float


def networks(ip: str | None) -> list[Around]:
    """Return the networks for limits (settings.LIMITED_NETWORKS): a single customer's first, then the wider ones."""
    if ip is None:
        return [Around("unknown", 1.0)]
    sizes = settings.LIMITED_NETWORKS[6 if ":" in ip else 4]
    return [Around(str(within(ip, bits)).removesuffix("/32"), share) for bits, share in sizes]


def network(ip: str | None) -> str:
    """Return the narrowest network: an IPv4 address, or the /64 of an IPv6 customer."""
    return networks(ip)[0].name


def home_of(ip: str | None) -> str:
    """Return the network where a client is likely to return: an IPv4 /24, an IPv6 /64; empty on a Unix socket."""
    return "" if ip is None else str(within(ip, HOME_BITS_IPV6 if ":" in ip else HOME_BITS_IPV4))


def within(ip: str, bits: int) -> IPv4Network | IPv6Network:
    """Return the network of this prefix length that contains the address."""
    return ip_network(f"{ip}/{bits}", strict=False)


def user_agent(request: HttpRequest | Request) -> str:
    """Return the User-Agent header without control characters, cut to the length that a session stores."""
    text = request.META.get("HTTP_USER_AGENT", "")[:USER_AGENT_LENGTH]
    return "".join(character for character in text if character.isprintable())


def as_address(text: str) -> str | None:
    """Return the address in one form, without port, brackets or zone, and IPv4-mapped IPv6 as IPv4; None if invalid."""
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
