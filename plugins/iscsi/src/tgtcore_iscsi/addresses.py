"""Portal addresses as people and TargetAddress write them: ``host:port``, ``[v6]:port`` (RFC 7143 13.8)."""

import ipaddress
import re
from typing import Final, NamedTuple

DEFAULT_PORT: Final = 3260
"""Assigned to iscsi-target by IANA."""

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_HOST_BYTES_MAX = 253
_ALL_NUMERIC = re.compile(r"[0-9.]+")
_PORT = re.compile(r"[0-9]{1,5}")


class Address(NamedTuple):
    """Where a portal is; ``host`` is a name or an address without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, default_port: int = DEFAULT_PORT) -> Address:
    """Read ``host``, ``host:port``, ``v6``, ``[v6]`` or ``[v6]:port``; port 0 means any free one.

    :raises ValueError: saying what was expected.
    """
    host, port = _split(text)
    if not _is_host(host):
        raise ValueError(f"address {text!r}: {host!r} is neither a host name nor an IP address")
    if port is None:
        return Address(host, default_port)
    if not _PORT.fullmatch(port) or int(port) > 0xFFFF:
        raise ValueError(f"address {text!r}: port {port!r}, expected 0 to 65535")
    return Address(host, int(port))


def target_address(address: Address, portal_group_tag: int) -> str:
    """Return the value of a TargetAddress key that names a portal and its group."""
    return f"{address},{portal_group_tag}"


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or ":" not in host:
            raise ValueError(f"address {text!r}: expected [IPv6 address]:port")
        return host, rest[1:] if rest else None
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return len(host) <= _HOST_BYTES_MAX and bool(_HOST_NAME.fullmatch(host)) and not _ALL_NUMERIC.fullmatch(host)
    return True
