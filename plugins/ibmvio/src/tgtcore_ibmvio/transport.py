"""Virtual SCSI as the core sees it: adapters are its portals, clients that have logged in its sessions."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from pydantic import BaseModel
from tgtcore_srp.memory import Memory

from tgtcore import Host, PortalInfo, SessionInfo, Target, TargetPort, Transport
from tgtcore_ibmvio.addressing import VirtualDevices
from tgtcore_ibmvio.identity import PROTOCOL, own_options, target_ports
from tgtcore_ibmvio.options import AdapterOptions, IbmvioOptions, IbmvioTargetOptions
from tgtcore_ibmvio.platform import Adapter
from tgtcore_ibmvio.platforms import make_platform
from tgtcore_ibmvio.reporting import reported_luns
from tgtcore_ibmvio.server import AdapterServer, Surroundings
from tgtcore_ibmvio.servers import Servers
from tgtcore_ibmvio.show import adapter_figures, session_info

_TICK_S = 1.0
_BOUNCE_BYTES = 128 * 1024


class IbmvioTransport(Transport):
    """The virtual SCSI server of a partition (LoPAR 17.2)."""

    Options: ClassVar[type[BaseModel]] = IbmvioOptions
    TargetOptions: ClassVar[type[BaseModel]] = IbmvioTargetOptions
    protocol: ClassVar[int] = PROTOCOL

    options: IbmvioOptions

    def __init__(self, host: Host, options: BaseModel) -> None:
        super().__init__(host, options)
        self._memory = Memory(self.options.memory)
        self._surroundings = Surroundings(
            host, self._memory, lambda: self.options, memoryview(bytearray(_BOUNCE_BYTES))
        )
        self._servers: Servers | None = None
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    def reported_luns(cls, target: Target, luns: Iterable[int], asked: int) -> list[bytes]:
        """In the form that the target's clients accept."""
        return reported_luns(target, luns, asked)

    def target_ports(self, target: Target) -> list[TargetPort]:
        """One port for each adapter that leads to the target."""
        return target_ports(target, [server.options for server in self._portals()])

    # ---- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open every adapter, or none."""
        if self._servers is None:
            self._servers = Servers(make_platform(self.options, self.host.loop), self._serve)
        await self._servers.apply(self.options.portals)
        if self._keeper is None:
            self._keeper = self.host.loop.create_task(self._keep(self._servers))

    async def apply_options(self, options: BaseModel) -> None:
        """Open and close adapters; the rest is in force for the next client that connects.

        :raises OSError: an adapter can't be opened, or it is another machine; then nothing has changed.
        """
        assert isinstance(options, IbmvioOptions)
        if options.machine != self.options.machine:
            raise OSError(
                "the platform can't be changed while the transport runs; remove the transport and add it again"
            )
        if self._servers is not None:
            await self._servers.apply(options.portals)
        self._memory.budget_bytes = options.memory
        self.options = options

    async def stop_listening(self) -> None:
        """Take no new sessions; clients may wait until that changes."""
        if self._servers is not None:
            await self._servers.pause()

    async def drop_target(self, target: Target) -> None:
        """End the target's sessions; its adapters lead nowhere then."""
        target.leases.shut()
        await self._drop(server for server in self._all() if _serves(server, target))
        for server in self._all():
            server.keep()

    async def drop_session(self, session_id: str) -> bool:
        """End one session at once."""
        servers = [server for server in self._all() if server.options.address == session_id and server.port.sessions()]
        await self._drop(servers)
        return bool(servers)

    async def close(self) -> None:
        """End every session, and have no adapters."""
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        servers, self._servers = self._servers, None
        if servers is not None:
            await servers.close()

    async def _drop(self, servers: Iterable[AdapterServer]) -> None:
        ends = []
        for server in servers:
            ended = self.host.loop.create_future()
            ends.append(ended)
            server.drop("the session was removed", partial(_set, ended))
        for ended in ends:
            await ended

    def _serve(self, adapter: Adapter, options: AdapterOptions) -> AdapterServer:
        return AdapterServer(adapter, options, self._surroundings)

    async def _keep(self, servers: Servers) -> None:
        """Once a second: targets come and go, memory comes back; and now and then a ping."""
        pinged = self.host.loop.time()
        while True:
            await asyncio.sleep(_TICK_S)
            await servers.keep()
            interval_s = self.options.ping_interval_s
            if interval_s and self.host.loop.time() - pinged >= interval_s:
                pinged = self.host.loop.time()
                for server in servers:
                    server.ping()

    # ---- for show ---------------------------------------------------------------------------------------------------

    def _all(self) -> list[AdapterServer]:
        return [] if self._servers is None else list(self._servers)

    def _portals(self) -> list[AdapterServer]:
        return [] if self._servers is None else self._servers.portals()

    def portals(self) -> list[PortalInfo]:
        """The adapters that take sessions."""
        return [
            PortalInfo(server.options.address, server.options.group, connections=int(server.connected))
            for server in self._portals()
        ]

    def sessions(self) -> list[SessionInfo]:
        """The clients that are logged in."""
        return [session_info(server, session) for server in self._all() for session in server.port.sessions()]

    def urls(self, target: Target, lun: int) -> list[str]:
        """Physical locations of the virtual device, as AIX writes them."""
        device = VirtualDevices(own_options(target).devices).device_of(lun)
        names = own_options(target).adapters
        if device is None:
            return []
        return [
            f"{server.options.location or server.options.address}-T1-L{device.field.hex().upper()}"
            for server in self._portals()
            if any(map(server.options.has, names))
        ]

    def statistics(self) -> dict[str, Any]:
        """Figures for ``tgtadm stat``."""
        return {
            "adapters": {server.options.address: adapter_figures(server) for server in self._all()},
            "memory": {
                "budget_bytes": self._memory.budget_bytes,
                "held_bytes": self._memory.held_bytes,
                "refusals": self._memory.refusals,
            },
        }


def _serves(server: AdapterServer, target: Target) -> bool:
    return any(session.nexus.target is target for session in server.port.sessions())


def _set(ended: "asyncio.Future[None]") -> None:
    """What somebody waits for has come; nobody may be waiting any more."""
    if not ended.done():
        ended.set_result(None)
