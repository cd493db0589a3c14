"""What a daemon has from before its start: sockets that listen already."""

import logging
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from tgtcore.service import socket_address

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InheritedSocket:
    """A listening socket, and what it is asked for by.

    :param address: what its former user asked for, such as a port 0; else where it is bound.
    """

    address: str
    socket: socket.socket

    def __str__(self) -> str:
        return socket_address(self.socket)


class Inheritance:
    """Sockets that wait for somebody who wants them; each is given once."""

    def __init__(self, sockets: Iterable[InheritedSocket] = ()) -> None:
        self._sockets = list(sockets)

    def take_socket(self, address: str) -> socket.socket | None:
        """The listening socket of an address, which is the caller's from now on; None when there is none."""
        for asked in (lambda one: one.address, str):
            for inherited in self._sockets:
                if asked(inherited) == address:
                    self._sockets.remove(inherited)
                    return inherited.socket
        return None

    def close(self) -> None:
        """Close what nobody wanted; idempotent."""
        for inherited in self._sockets:
            _log.warning("the inherited socket at %s is closed: no portal has that address", str(inherited))
            inherited.socket.close()
        self._sockets.clear()
