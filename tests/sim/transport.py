"""A transport whose initiators are in the simulation."""

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import BaseModel
from sim.loop import SimLoop
from sim.session import Session

from tgtcore import Host, InitiatorPort, Options, PortalInfo, SessionInfo, Target, TargetPort, TgtError, Transport
from tgtcore.scsi.transport_id import iscsi_transport_id

if TYPE_CHECKING:
    from sim.initiator import Initiator

_ISCSI = 5
TAKEN = "taken"
"""A portal that can't be opened."""


class SimTransportOptions(Options):
    """Keys of ``[transports.sim]``."""

    portals: tuple[dict[str, str], ...] = ()


class SimTransport(Transport):
    """Initiators find it in its environment."""

    Options: ClassVar[type[BaseModel]] = SimTransportOptions
    protocol: ClassVar[int] = _ISCSI

    def __init__(self, host: Host, options: BaseModel) -> None:
        super().__init__(host, options)
        self.loop = cast(SimLoop, host.loop)
        self.environment = self.loop.environment
        self._sessions: dict[str, Session] = {}
        self._open: list[str] = []
        self._number = 0

    # ---- what the core asks for ---------------------------------------------------------------------------------------

    def target_ports(self, target: Target) -> list[TargetPort]:
        return [TargetPort(f"{target.name},t,0x0001", 1, 1, _ISCSI)]

    async def start(self) -> None:
        self._listen(self.options)
        self.environment.transport = self

    async def apply_options(self, options: BaseModel) -> None:
        self._listen(options)
        self.options = options

    async def stop_listening(self) -> None:
        self._open = []
        self.environment.transport = None

    def ask_to_log_out(self, session_ids: Collection[str], within_s: int) -> None:
        for session in self._sessions.values():
            if session.id in session_ids:
                session.to_initiator.send(session.initiator.logout_wanted, session)

    async def drop_target(self, target: Target) -> None:
        await self._end([session for session in self._sessions.values() if session.nexus.target is target])

    async def close(self) -> None:
        await self._end(list(self._sessions.values()))

    async def drop_session(self, session_id: str) -> bool:
        session = self._sessions.get(session_id)
        if session is None:
            return False
        await self._end([session])
        return True

    def portals(self) -> list[PortalInfo]:
        return [PortalInfo(address, 1) for address in self._open]

    def sessions(self) -> list[SessionInfo]:
        return [
            SessionInfo(
                one.id,
                one.nexus.target.name,
                one.initiator.name,
                "127.0.0.1",
                len(one.nexus.tasks),
                nexus=one.nexus,
            )
            for one in self._sessions.values()
        ]

    def _listen(self, options: BaseModel) -> None:
        assert isinstance(options, SimTransportOptions)
        addresses = [portal["address"] for portal in options.portals]
        if TAKEN in addresses:
            raise OSError(98, f"portal {TAKEN}: Address already in use")
        self._open = addresses

    async def _end(self, sessions: list[Session]) -> None:
        """Close sessions; returns when their last commands have ended."""
        for session in sessions:
            session.close()
        for session in sessions:
            await asyncio.shield(session.gone)

    # ---- what initiators ask for --------------------------------------------------------------------------------------

    def log_in(self, initiator: "Initiator", target_name: str) -> Session | None:
        """A login; None when it is refused."""
        target = self.host.find_target(target_name)
        port = InitiatorPort(initiator.name, iscsi_transport_id(initiator.name, bytes(6)), "127.0.0.1")
        if not self._open or target is None or not self.host.admits(target, port, self._open[0]):
            return None
        try:
            nexus = self.host.open_nexus(target, port, self.target_ports(target)[0])
        except TgtError:
            return None
        self._number += 1
        session = self._sessions[f"session{self._number}"] = Session(self, nexus, initiator, self._number)
        self.environment.trace(session.id, "of", initiator.name, "with", target_name)
        return session

    def forget(self, session: Session) -> None:
        """A session is over."""
        del self._sessions[session.id]
