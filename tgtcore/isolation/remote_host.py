"""The core as a driver in a process of its own meets it."""

import asyncio
import logging
import socket
from collections.abc import Iterable

from tgtcore.errors import Draining, PluginError, RingError
from tgtcore.isolation.correspondent import Correspondent
from tgtcore.isolation.orders import printable
from tgtcore.isolation.ports import checked_initiator, checked_target_port
from tgtcore.isolation.refusals import REFUSALS
from tgtcore.isolation.remote_nexus import RemoteNexus
from tgtcore.nexus import InitiatorPort, Nexus, TargetPort
from tgtcore.ring import OpenStatus, Request, messages, receive_socket, words
from tgtcore.target import Target
from tgtcore.transport import Account

_log = logging.getLogger(__name__)

_ACCOUNT_BYTES = 4096


class RemoteHost:
    """A :class:`~tgtcore.transport.Host` that asks over the ring.

    The targets are known beforehand; what else is asked for is waited for, which no command ever needs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.correspondent: Correspondent
        self.link: socket.socket
        """The socket of the attachment."""
        self.known: dict[int, Target] = {}
        """The targets by number, as the core has told."""
        self._loop = loop
        self._last_number = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""
        return self._loop

    def targets(self) -> Iterable[Target]:
        """The targets of this transport."""
        return list(self.known.values())

    def find_target(self, name: str) -> Target | None:
        """A target of this transport by name."""
        return next((target for target in self.known.values() if target.name == name), None)

    def account(self, name: str) -> Account | None:
        """A configured account."""
        payload = name.encode("utf-8", "replace")
        if len(payload) > _ACCOUNT_BYTES:
            return None

        def values(offset: int) -> tuple[int | None, ...]:
            return Request.ACCOUNT, 0, 0, len(payload), None, offset, _ACCOUNT_BYTES, 0

        slot = self.correspondent.enquiries.ask(messages.ACCOUNT, payload, _ACCOUNT_BYTES, values)
        if not slot[1]:
            return None
        user, secret = words.split(bytes(slot[messages.RESPONSE_SLOT_BYTES :]), 2)
        return Account(user.decode(), secret)

    def admits(self, target: Target, initiator_port: InitiatorPort, portal: str) -> bool:
        """Whether an initiator may log in; the core decides."""

        def values(offset: int) -> tuple[int | None, ...]:
            return Request.ADMIT, 0, 0, target.tid, None, offset, len(payload), 0

        try:
            payload = _port_words(initiator_port, portal)
            return self.correspondent.enquiries.ask(messages.ADMIT, payload, 0, values)[1] == 1
        except RingError as error:
            _log.error("%s is not admitted to %s: %s", printable(str(initiator_port)), target, error)
            return False

    def inherited(self, address: str) -> socket.socket | None:
        """A socket that listens at an address already: the former process, or the daemon, has had it."""
        payload = address.encode()

        def values(offset: int) -> tuple[int | None, ...]:
            return Request.INHERIT, 0, 0, len(payload), None, offset

        if not self.correspondent.enquiries.ask(messages.INHERIT, payload, 0, values)[1]:
            return None
        passed_on = receive_socket(self.link)
        return passed_on[1] if passed_on else None

    def open_nexus(self, target: Target, initiator_port: InitiatorPort, target_port: TargetPort) -> Nexus:
        """Open an I_T nexus.

        :raises NexusInUse: what the initiator port has sent before, on such a nexus that was lost, has not ended.
        :raises Draining: the target is going away.
        :raises PluginError: the core has said why not.
        :raises RingError: there can be no such ports, or the core does not answer.
        """
        self._last_number = number = self._last_number % 0xFFFFFFFF + 1
        payload = _port_words(initiator_port, checked_target_port(target_port).name)

        def values(offset: int) -> tuple[int | None, ...]:
            return (
                Request.NEXUS_OPEN,
                target_port.protocol,
                target_port.relative_id,
                number,
                None,
                offset,
                len(payload),
                target.tid,
                target_port.group,
                0,
            )

        nexus = RemoteNexus(target, initiator_port, target_port, self.correspondent, number)
        if target.leases.draining:
            raise Draining(f"{target} is going away")
        slot = self.correspondent.enquiries.ask(messages.NEXUS_OPEN, payload, 0, values, nexus.opened_late)
        _, status, _, text_length, _, text = messages.NEXUS_OPENED.unpack_from(slot, 0)
        if status != OpenStatus.OPENED:
            raise REFUSALS.get(status, PluginError)(text[:text_length].decode("utf-8", "replace"))
        target.nexus_opened(nexus)
        return nexus


def _port_words(port: InitiatorPort, last: str) -> bytes:
    """An initiator port and another name.

    :raises RingError: there can be no such port: what the core would drop the driver for costs only this login.
    """
    checked_initiator(port)
    return words.join((port.name.encode(), port.address.encode(), port.transport_id, last.encode()))
