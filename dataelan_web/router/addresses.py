"""Which addresses may be reached on behalf of people the operator did not choose. Values only, no I/O.

What counts is the address that is connected to, never the name it was found by. The table is our own: Python 3.11's
`is_global` holds for NAT64, 6to4, multicast, site-local and the hosts of clouds.

Sources: IANA's special-purpose address registries (RFC 6890); https://fetch.spec.whatwg.org/#port-blocking.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# IPv4: everything but these is somebody's in the Internet.
_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host; Linux connects 0.0.0.0 to itself
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' own; 100.100.100.200 is Alibaba's metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's host, though of a public range
            "169.254.0.0/16",  # link-local, the metadata of most clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is Oracle's metadata
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
# IPv6 is assigned in 2000::/3 alone. Left out with the rest: ::1, ::, IPv4 in any disguise (::a.b.c.d, ::ffff:a.b.c.d,
# NAT64's 64:ff9b::/96 and 64:ff9b:1::/48), fc00::/7 with fd00:ec2::254, fe80::/10, fec0::/10, ff00::/8. And in it:
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols' own: Teredo 2001::/32, ORCHID, benchmarks
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, a tunnel to any IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)

# Below 1024 only the web's own ports: model servers that need no rights listen above, and what else is below (22, 25,
# 53, 110, 389, 445 …) is to be neither probed nor spoken to from here. Above, what is known not to be a web server.
_WEB_PORTS = (80, 443)
_OTHER_PORTS = frozenset(
    map(
        int,
        (
            # data stores, queues and the inside of clusters
            "1433 1434 1521 2049 2181 2375 2376 2377 2379 2380 3306 3389 4369 5432 5433 5671 5672 5900 5901 5984 5985 "
            "5986 6379 6380 6432 7000 7001 7199 8086 8500 9042 9092 9160 9200 9300 10250 10255 11211 15672 16379 "
            "26257 26379 27017 27018 27019 33060 50070 61616 "
            # the Fetch standard's bad ports
            "1719 1720 1723 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080"
        ).split(),
    )
)


def is_public(address: str) -> bool:
    """Is it an address of the Internet? Never for text that is no address."""
    try:
        ip: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_4)
    return ip in _PUBLIC_6 and not any(ip in network for network in _NOT_PUBLIC_6)


def is_listed(host: str, listed: Collection[str]) -> bool:
    """May this name, or address, be called where only these may? `*.example.com` stands for all below it."""
    name = host.strip("[]").rstrip(".").lower()
    return name in listed or any(one.startswith("*.") and name.endswith(one[1:]) for one in listed)


def refusal(address: str, port: int) -> str | None:
    """Why this address and port may not be reached, to follow “… leads to”; None: they may."""
    if not is_public(address):
        return "a private address"  # which one is nobody's business who may not reach it
    if port in _OTHER_PORTS or (port < 1024 and port not in _WEB_PORTS):
        return f"port {port}, which is not one of a web server"
    return None
