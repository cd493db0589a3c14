"""Who may log in.  Nobody, unless a rule says so; with rules on names and on addresses, both must hold."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase


class Decision(Enum):
    """An opinion on a login."""

    ALLOW = True
    REFUSE = False
    NO_OPINION = None


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass
class AccessList:
    """The access rules of one target.

    :param initiators: patterns of initiator names (``*``, ``?``, ``[...]``), compared in lower case.
    :param addresses: networks such as ``10.0.0.0/8``, ``fd00::/8`` or single addresses.

    An empty list of one kind puts no condition on it; both empty admit nobody.
    """

    initiators: tuple[str, ...] = ()
    addresses: tuple[_Network, ...] = field(default=())

    @classmethod
    def parse(cls, initiators: Iterable[str], addresses: Iterable[str]) -> "AccessList":
        """From text.

        :raises ValueError: an address is none; the message says which.
        """
        return cls(
            tuple(pattern.lower() for pattern in initiators),
            tuple(ipaddress.ip_network(address, strict=False) for address in addresses),
        )

    def admits(self, name: str, address: str) -> bool:
        """Whether an initiator port with this name, calling from this address, is admitted."""
        if not self.initiators and not self.addresses:
            return False
        return self._name_fits(name.lower()) and self._address_fits(address)

    def _name_fits(self, name: str) -> bool:
        return not self.initiators or any(fnmatchcase(name, pattern) for pattern in self.initiators)

    def _address_fits(self, address: str) -> bool:
        if not self.addresses:
            return True
        try:
            where = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(where, "ipv4_mapped", None)
        return any(candidate in network for network in self.addresses for candidate in (where, mapped) if candidate)
