"""A transport at work as the daemon deals with it, wherever its code runs.

The contract of transports is made for their authors: most of it is plain calls, for everything is at hand.  The daemon must also be
able to deal with a transport that runs in a process of its own and answers when it can, so here every question is awaited.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from tgtcore import signals
from tgtcore.errors import Unsupported
from tgtcore.transport.contract import PortalInfo, SessionInfo, Transport

if TYPE_CHECKING:
    from tgtcore.nexus import TargetPort
    from tgtcore.target import Target


class Driver(ABC):
    """One transport at work.  Methods do what those of :class:`~tgtcore.transport.Transport` with the same names do."""

    reloads: ClassVar[bool] = False
    """Whether it can :meth:`reload`: its code is not that of the daemon."""

    @property
    @abstractmethod
    def options(self) -> BaseModel:
        """The options in force."""

    @abstractmethod
    def target_ports(self, target: "Target") -> "Sequence[TargetPort]":
        """The target ports through which a target can be reached; asked by commands, so it never waits."""

    @abstractmethod
    async def start(self) -> None:
        """Open every portal, or none."""

    @abstractmethod
    async def stop_listening(self) -> None:
        """Take no new connections."""

    @abstractmethod
    async def ask_to_log_out(self, session_ids: Collection[str], within_s: int) -> None:
        """Ask initiators to end their sessions by themselves."""

    @abstractmethod
    async def drop_target(self, target: "Target") -> None:
        """End everything with a target."""

    @abstractmethod
    async def drop_session(self, session_id: str) -> bool:
        """End one session."""

    @abstractmethod
    async def close(self) -> None:
        """End every session, and the transport with them."""

    @abstractmethod
    async def apply_options(self, options: BaseModel) -> None:
        """Take new options into force."""

    async def reload(self, options: BaseModel, timeout_s: float) -> str:
        """Run the code that is installed now; sessions end, and initiators log in again.  Returns what was done, in a few words.

        :raises Unsupported: the code of this driver is that of the daemon.
        :raises ConfigError: it can't be started; it is tried again and again.
        """
        raise Unsupported("a transport in the daemon can't be reloaded")

    async def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        """The sockets that a successor may have; none unless a driver says otherwise."""
        return []

    @abstractmethod
    async def portals(self) -> list[PortalInfo]:
        """The portals that are open."""

    @abstractmethod
    async def sessions(self) -> list[SessionInfo]:
        """The sessions that are logged in."""

    @abstractmethod
    async def urls(self, target: "Target") -> dict[int, list[str]]:
        """The addresses of each LUN that everybody sees, by LUN."""

    @abstractmethod
    async def statistics(self) -> dict[str, Any]:
        """Figures for ``tgtadm stat``."""


class LocalDriver(Driver):
    """A transport that runs in the daemon itself."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        for signal in (signals.lun_mapped, signals.lun_unmapped):
            signal.connect(self._luns_changed)  # for as long as the driver is there

    def _luns_changed(self, target: "Target", **_: Any) -> None:
        if self.transport.host.find_target(target.name) is target:
            self.transport.luns_changed(target)

    @property
    def options(self) -> BaseModel:
        """Those of the transport."""
        return self.transport.options

    def target_ports(self, target: "Target") -> "Sequence[TargetPort]":
        """Ask the transport."""
        return self.transport.target_ports(target)

    async def start(self) -> None:
        """Start the transport."""
        await self.transport.start()

    async def stop_listening(self) -> None:
        """Let the transport close its portals."""
        await self.transport.stop_listening()

    async def ask_to_log_out(self, session_ids: Collection[str], within_s: int) -> None:
        """Let the transport ask."""
        self.transport.ask_to_log_out(session_ids, within_s)

    async def drop_target(self, target: "Target") -> None:
        """Let the transport end the sessions."""
        await self.transport.drop_target(target)

    async def drop_session(self, session_id: str) -> bool:
        """Let the transport end the session."""
        return await self.transport.drop_session(session_id)

    async def close(self) -> None:
        """Close the transport."""
        await self.transport.close()

    async def apply_options(self, options: BaseModel) -> None:
        """Hand the options over."""
        await self.transport.apply_options(options)

    async def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        """Ask the transport."""
        return self.transport.listening_sockets()

    async def portals(self) -> list[PortalInfo]:
        """Ask the transport."""
        return self.transport.portals()

    async def sessions(self) -> list[SessionInfo]:
        """Ask the transport."""
        return self.transport.sessions()

    async def urls(self, target: "Target") -> dict[int, list[str]]:
        """Ask the transport for each LUN."""
        return {lun: self.transport.urls(target, lun) for lun in target.luns.luns()}

    async def statistics(self) -> dict[str, Any]:
        """Ask the transport."""
        return self.transport.statistics()
