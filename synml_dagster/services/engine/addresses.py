"""Addresses that come from data: which schemes they may have, and which hosts they may not reach."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver

from synml_dagster.services.engine.outcome import RowError


def check_address(url: str, schemes: tuple[str, ...], *, private: bool) -> None:
    """Refuse an address of another scheme, with a password in it, or of a host in a private network.

    Hosts are looked at by number here and by name when they are looked up: a name can mean another host by then.

    Raises
    ------
    RowError
        With the reason `address`; the address itself is not repeated.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises where it is none
    except ValueError as problem:
        raise RowError("address", "the address cannot be read") from problem
    if parts.scheme.lower() not in schemes:
        raise RowError(
            "address",
            f"the address has the scheme {parts.scheme[:20]!r}, and {', '.join(schemes)} are allowed",
        )
    if not host:
        raise RowError("address", "the address names no host")
    if parts.username is not None or parts.password is not None:
        raise RowError("address", "the address holds a user or a password")
    if not private:
        # `0x7f.1` and `2130706433` are 127.0.0.1 for the system's resolver.
        try:
            number: str | None = socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            number = host if ":" in host else None
        if number is not None and not is_public(number):
            raise RowError("address", "the address is one of a private network")


def is_public(number: str) -> bool:
    """Return whether an IP address is one of the public network.

    Examples
    --------
    >>> is_public("93.184.216.34"), is_public("10.0.0.1"), is_public("169.254.169.254"), is_public("::ffff:127.0.0.1")
    (True, False, False, False)
    """
    try:
        address = ipaddress.ip_address(number.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_global and not address.is_multicast


class PublicResolver(AbstractResolver):
    """Looks hosts up, and finds those of private networks not at all."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[Any]:
        """Return the public addresses of a host."""
        found = await self._inner.resolve(host, port, family)
        public = [one for one in found if is_public(one["host"])]
        if not public:
            raise RowError("address", "the host is one of a private network")
        return public

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()
