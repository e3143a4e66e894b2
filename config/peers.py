"""Which peers may connect to a listener: those that its setting lists, by the address at the other end of the socket.

No header is read: behind a proxy the peer is the proxy. A Unix socket has no address and is listed as `unix`.
"""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

Peers = tuple[IPv4Network | IPv6Network | str, ...]
UNIX = "unix"


@lru_cache(maxsize=4096)
def admits(peers: Peers, address: str) -> bool:
    """Return whether a connection from this address is allowed. An empty list allows every address."""
    if not peers:
        return True
    try:
        peer = ip_address(address.partition("%")[0])
    except ValueError:  # each server reports its own text, or nothing, for the peer of a Unix socket
        return UNIX in peers
    mapped = peer.ipv4_mapped if isinstance(peer, IPv6Address) else None
    return any((mapped or peer) in network for network in peers if not isinstance(network, str))
