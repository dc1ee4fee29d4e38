"""
Which addresses may be connected to: the table behind :mod:`.guard`.

Written out from IANA's registries of special-purpose addresses (RFC 6890 and its successors), and not taken from
:mod:`ipaddress`, whose ``is_global`` differs between releases of Python and knows nothing of the clouds' own addresses.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Literal

from yarl import URL

__all__ = ["Reach", "is_reachable", "is_written_as_address", "names_private_address"]

Reach = Literal["public", "private"]
"""``private`` is the public internet, this machine and private networks; never what belongs to a link or a cloud."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


_METADATA = _networks(
    "100.100.100.200/32",  # Alibaba Cloud
    "168.63.129.16/32",  # Azure's host, which looks public
    "169.254.0.0/16",  # AWS, Google, Azure, and every other link-local one
    "192.0.0.0/24",  # Oracle Cloud; IETF assignments
    "fd00:ec2::/32",  # AWS over IPv6
    "fd20:ce::/32",  # Google over IPv6
)
_PRIVATE = _networks(
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",  # carriers' networks, and those of Tailscale
    "::1/128",
    "fc00::/7",
)
_NEVER_PUBLIC = _networks(
    "0.0.0.0/8",
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4 relays
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/3",  # multicast, reserved, broadcast
    "2001::/23",  # Teredo, ORCHID, benchmarks and other assignments of the IETF
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4, which holds an IPv4 address
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)
# Outside of it are the unspecified address, mapped (::ffff:0:0/96) and translated ones (64:ff9b::/96), link-local and
# site-local ones, multicast, and what is not assigned.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")

# A last label like these makes a URL's host an IPv4 address, in one of many spellings (WHATWG URL, "ends in a number").
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z", re.IGNORECASE)


def is_reachable(address: str, reach: Reach) -> bool:
    """
    Whether *address* may be connected to.

    Args:
        address: An IP address in its canonical form; anything else may not.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if getattr(parsed, "scope_id", None) is not None or _is_in(parsed, _METADATA):
        return False
    if _is_in(parsed, _PRIVATE):
        return reach == "private"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed not in _GLOBAL_UNICAST:
        return False
    return not _is_in(parsed, _NEVER_PUBLIC)


def is_written_as_address(host: str) -> bool:
    """Whether a URL's host is, or may be taken for, an IP address in any spelling."""
    return ":" in host or _NUMBER.match(host.rstrip(".").rpartition(".")[2]) is not None


def names_private_address(url: str) -> bool:
    """Whether a URL says by itself that it leads into a private network or to this machine, whatever DNS answers."""
    try:
        host = URL(url).host or ""
    except ValueError:
        return False
    return host == "localhost" or (is_reachable(host, "private") and not is_reachable(host, "public"))


def _is_in(address: _Address, networks: tuple[_Network, ...]) -> bool:
    return any(address in network for network in networks)  # of another version: not in it
