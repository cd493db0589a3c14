"""The portals of the transport: where it listens, in which groups, and what initiators are told of it."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tgtcore import signals
from tgtcore_iscsi.addresses import Address, parse_address
from tgtcore_iscsi.options import PortalOptions
from tgtcore_iscsi.server import Inherited, Listener


@dataclass
class Portal:
    """One open portal."""

    options: PortalOptions
    listener: Listener

    def __str__(self) -> str:
        return f"portal {self.listener.address}"

    @property
    def group(self) -> int:
        """Portal group tag."""
        return self.options.group

    def address_for(self, local: Address) -> Address:
        """What to call this portal to an initiator that has reached us at ``local``.

        A portal on all addresses is known by the one that the initiator used, which it can reach for sure.
        """
        if self.options.advertise is not None:
            return parse_address(self.options.advertise)
        address = self.listener.address
        return Address(local.host, address.port) if address.host in ("0.0.0.0", "::") else address


class Portals:
    """All open portals.

    :param accepted: called with each new connection and the portal that it came through.
    :param closed: called with each portal that does not listen any more.
    :param inherited: gives the socket that listens at an address already, or None.
    """

    def __init__(
        self,
        accepted: Callable[[socket.socket, Portal], None],
        closed: Callable[[Portal], None],
        inherited: Inherited,
    ) -> None:
        self._accepted = accepted
        self._closed = closed
        self._inherited = inherited
        self._open: list[Portal] = []

    def __iter__(self) -> Iterator[Portal]:
        return iter(self._open)

    def apply(self, wanted: Iterable[PortalOptions], loop: asyncio.AbstractEventLoop) -> None:
        """Open what is wanted and not open, then close what is not wanted; all or nothing.

        A portal whose group or advertised address changes goes on listening.

        :raises OSError: a portal can't be opened; nothing has changed.
        """
        wanted = list(wanted)
        fresh: list[Portal] = []
        changed: list[tuple[Portal, PortalOptions]] = []
        try:
            for options in wanted:
                if any(portal.options == options for portal in self._open):
                    continue
                if (portal := self._listening_at(options.address)) is not None:
                    changed.append((portal, options))
                else:
                    fresh.append(self._listen(options, loop))
        except OSError:
            for portal in fresh:
                portal.listener.close()
            raise
        for portal, options in changed:
            portal.options = options
        for portal in list(self._open):
            if portal.options not in wanted:
                self._close(portal)
        for portal in fresh:
            self._open.append(portal)
            signals.emit(signals.portal_opened, portal)

    def close(self) -> None:
        """Listen nowhere; idempotent."""
        for portal in list(self._open):
            self._close(portal)

    def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        """The listening sockets with the addresses that were asked for."""
        return [(portal.listener.asked, portal.listener.socket) for portal in self._open]

    def groups(self) -> list[int]:
        """The portal group tags that are in use, in order."""
        return sorted({portal.group for portal in self._open})

    def _listening_at(self, address: str) -> Portal | None:
        """The open portal of an address; port 0 is another one each time."""
        if not parse_address(address).port:
            return None
        return next((portal for portal in self._open if portal.options.address == address), None)

    def _listen(self, options: PortalOptions, loop: asyncio.AbstractEventLoop) -> Portal:
        portal: Portal
        address = parse_address(options.address)
        listener = Listener(address, loop, lambda sock: self._accepted(sock, portal), self._inherited)
        portal = Portal(options, listener)
        return portal

    def _close(self, portal: Portal) -> None:
        portal.listener.close()
        self._open.remove(portal)
        self._closed(portal)
        signals.emit(signals.portal_closed, portal)
