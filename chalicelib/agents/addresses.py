"""Addresses that others name: what they lead to is nobody's private network, when it is connected to as well."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import urlsplit

NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""Addresses that stand for those of IPv4, https://www.rfc-editor.org/rfc/rfc6052"""

EXPECTED = "expected an address that begins with https:// and is not of a private network"


class NotPublic(OSError):
    """The address leads into a private network."""


def fault(url: str) -> str | None:
    """Why nothing is sent to an address; None where it may be. A name that nobody knows at the moment may be known
    when it is used.
    """
    name = host(url)
    if name is None:
        return EXPECTED
    try:
        public(name, 443)
    except NotPublic:
        return EXPECTED
    except (OSError, UnicodeError):
        return None
    return None


def host(url: str) -> str | None:
    """The host of a plain https address; None where it is no such thing."""
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > LONGEST:
        return None
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.scheme == "https" and parts.username is None and parts.port != 0 else None
    except ValueError:
        return None


LONGEST = 1_000
"""Characters of an address."""

TRIED = 3
"""Of a host's addresses, each of which may take as long as a connection may."""


def public(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    """Where a host is reached, by family and socket address.

    Raises NotPublic when any of them is not public, so that none can be chosen, and socket.gaierror.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not found or not all(is_public(str(address[0])) for *_, address in found):
        raise NotPublic
    return [(family, address) for family, _, _, _, address in found]


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public internet, whatever way it is written."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(each.is_global and not each.is_multicast for each in (address, *_inside(address)))


def _inside(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """The IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv6Address):
        yield from filter(None, (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())))
        if address in NAT64:
            yield IPv4Address(int(address) & 0xFFFFFFFF)


def connected(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to a public address of a host: the name is asked for once, and what it says is connected to.

    Raises NotPublic, OSError.
    """
    failed: OSError = OSError("no address")
    for family, address in public(host, port)[:TRIED]:
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(timeout)
            made.connect(address)
        except OSError as error:
            made.close()
            failed = error
        else:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made
    raise failed
