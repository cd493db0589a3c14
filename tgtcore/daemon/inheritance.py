"""What a daemon has from before its start: sockets that listen already, and the reservations of its logical units."""

import logging
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tgtcore.service import socket_address

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InheritedSocket:
    """A listening socket, and what it is asked for by.

    :param address: what its former user asked for, such as a port 0; else where it is bound.
    :param transport: its former user, where there was one.
    """

    address: str
    socket: socket.socket
    transport: str = ""

    def __str__(self) -> str:
        return socket_address(self.socket)


class Inheritance:
    """What waits for somebody who wants it; each thing is given once.

    :param reservations: what the former daemon knew of logical units, by unique id.
    """

    def __init__(
        self, sockets: Iterable[InheritedSocket] = (), reservations: Mapping[bytes, dict[str, Any]] | None = None
    ) -> None:
        self._sockets = list(sockets)
        self._reservations = dict(reservations or {})

    def take_socket(self, address: str, heir: str = "") -> socket.socket | None:
        """The listening socket of an address, which is the caller's from now on; None when there is none.

        What a transport had, no other one gets: a driver in a process of its own may have said any address of its sockets.

        :param heir: the transport that asks, if one does.
        """
        offered = [one for one in self._sockets if one.transport in ("", heir)]
        for asked in (lambda one: one.address, str):
            for inherited in offered:
                if asked(inherited) == address:
                    self._sockets.remove(inherited)
                    return inherited.socket
        return None

    def take_sockets(self, transport: str) -> list[tuple[str, socket.socket]]:
        """All that a transport of that name had, with the addresses by which they are asked for; the caller's from now on."""
        taken = [one for one in self._sockets if one.transport == transport]
        self._sockets = [one for one in self._sockets if one.transport != transport]
        return [(one.address, one.socket) for one in taken]

    def take_reservations(self, unique_id: bytes) -> dict[str, Any] | None:
        """The reservations of a logical unit, as :meth:`Reservations.hand_over` gave them; None when nothing is known."""
        return self._reservations.pop(unique_id, None)

    def close(self) -> None:
        """Close what nobody wanted; idempotent."""
        for inherited in self._sockets:
            _log.warning("the inherited socket at %s is closed: no portal has that address", str(inherited))
            inherited.socket.close()
        self._sockets.clear()
        self._reservations.clear()
