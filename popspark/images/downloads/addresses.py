"""Which IP addresses are public: those that any host on the internet could reach.

IPv4 goes by IANA's registry of special addresses, as `ipaddress.is_global` has it. Of IPv6 only 2000::/3 is given out
to hosts on the internet, which leaves out by its kind all that is local (loopback, link-local, site-local, unique
local), reserved or multicast, and most ways to write an IPv4 address inside an IPv6 one. Of these ways:

| form | such as | public? |
|---|---|---|
| mapped (RFC 4291) | ::ffff:192.0.2.1 | as the IPv4 address inside |
| NAT64 (RFC 6052), how a network without IPv4 reaches it | 64:ff9b::192.0.2.1 | as the IPv4 address inside |
| local NAT64 (RFC 8215), compatible, translated | 64:ff9b:1::, ::192.0.2.1, ::ffff:0:192.0.2.1 | no |
| 6to4, Teredo, ISATAP: tunnels that nobody needs any more | 2002:c000:201::, 2001:0:.., ..:0:5efe:192.0.2.1 | no |

A network that translates with a prefix of its own (RFC 6052, section 2.2) cannot be told from any other.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

GLOBAL_UNICAST = ip_network("2000::/3")
NAT64 = ip_network("64:ff9b::/96")
SPECIAL = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # protocol assignments, Oracle's metadata service among them: in `is_global` since 3.11.10
            "192.88.99.0/24",  # relays of 6to4
            "168.63.129.16/32",  # every Azure machine's own host, though the address looks like any other
            "2001::/23",  # protocol assignments, Teredo among them
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation, since 2024
        ),
    )
)
ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""The upper half of the interface identifier (RFC 5214)."""


def is_public(address: str) -> bool:
    """Whether the address, in the form that getaddrinfo gives, is public."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or (IPv4Address(int(ip) & 0xFFFF_FFFF) if ip in NAT64 else ip)
    if isinstance(ip, IPv6Address) and (ip not in GLOBAL_UNICAST or int(ip) >> 32 & 0xFFFF_FFFF in ISATAP):
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in SPECIAL)
