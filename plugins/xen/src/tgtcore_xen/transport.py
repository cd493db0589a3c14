"""Xen's virtual SCSI as the core sees it: virtual HBAs of guests are its portals, those that are connected its sessions."""

import asyncio
import logging
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, ClassVar

from pydantic import BaseModel
from tgtcore_srp.memory import Memory

from tgtcore import Host, PortalInfo, SessionInfo, Target, TargetPort, Transport
from tgtcore_xen.found import FoundGuests
from tgtcore_xen.guests import Guests
from tgtcore_xen.hba.devices import Devices
from tgtcore_xen.identity import PROTOCOL, own_options, target_ports
from tgtcore_xen.keeping.journals import left_journals, warn_without_journals
from tgtcore_xen.keeping.keeper import Keeper
from tgtcore_xen.keeping.nodes import sweep
from tgtcore_xen.keeping.surroundings import Surroundings
from tgtcore_xen.options import HbaOptions, XenOptions, XenTargetOptions
from tgtcore_xen.platforms import make_platform
from tgtcore_xen.show import hba_figures, session_info

_log = logging.getLogger(__name__)

_TICK_S = 0.25
_READY_S = 5.0
"""How long new options wait for guests to have their nodes: well below what a driver process may take to answer."""


class XenTransport(Transport):
    """The virtual SCSI back end of a domain."""

    Options: ClassVar[type[BaseModel]] = XenOptions
    TargetOptions: ClassVar[type[BaseModel]] = XenTargetOptions
    protocol: ClassVar[int] = PROTOCOL

    options: XenOptions

    def __init__(self, host: Host, options: BaseModel) -> None:
        super().__init__(host, options)
        self._memory = Memory(self.options.memory)
        self._keepers: dict[str, Keeper] = {}
        self._around: Surroundings | None = None
        self._listening = False
        self._ticking: asyncio.Task[None] | None = None

    def target_ports(self, target: Target) -> list[TargetPort]:
        """One port for each HBA that leads to the target."""
        return target_ports(target, self._hbas())

    def _hbas(self) -> list[HbaOptions]:
        return [keeper.options for keeper in self._keepers.values()]

    # ---- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the machine, and offer every HBA whose guest is there."""
        around = self._around or await self._open()
        self._around = around
        self._listening = True
        await self._apply(around)
        if self._ticking is None:
            self._ticking = self.host.loop.create_task(self._tick())

    async def _open(self) -> Surroundings:
        machine = make_platform(self.options, self.host.loop)
        await machine.open()
        journals = left_journals(
            self.options
        )  # before anybody looks who is there: of a guest that comes now one may be new
        found = self.options.nodes == "found" if self.options.nodes is not None else machine.domid != 0
        guests = (FoundGuests if found else Guests)(machine.store, machine.domid, self._guests_changed)
        try:
            await guests.open()
            if not found:
                await sweep(machine.store, machine.domid, guests.found.__contains__)
            for path, domid in journals:
                if domid not in guests.found:
                    path.unlink(missing_ok=True)
        except BaseException:
            await guests.close()
            await machine.close()
            raise
        warn_without_journals(self.options)
        return Surroundings(self.host, machine, guests, self._memory, lambda: self.options, self._hbas, found)

    async def apply_options(self, options: BaseModel) -> None:
        """Attach and detach HBAs; the rest is in force for the next front end that connects.

        :raises OSError: it is another machine; then nothing has changed.
        """
        assert isinstance(options, XenOptions)
        if options.machine != self.options.machine:
            raise OSError(
                "the platform, the nodes and the journals can't be changed while the transport runs; remove the transport and add "
                "it again"
            )
        self._memory.budget_bytes = options.memory
        self.options = options
        if self._around is not None and self._listening:
            await self._apply(self._around)

    async def _apply(self, around: Surroundings) -> None:
        """Keep what is wanted; returns when guests that are there have their nodes, or that takes too long."""
        with suppress(OSError):  # what the store does not tell now, it will
            await around.guests.refresh()
        wanted = {hba.address: hba for hba in self.options.portals}
        for address, hba in wanted.items():
            keeper = self._keepers.get(address)
            if keeper is None or keeper.over:
                keeper = self._keepers[address] = Keeper(hba, around)
            else:
                keeper.configure(hba)
        for address, keeper in self._keepers.items():
            attached = address in wanted
            if attached and not keeper.wishes.attached:
                # Its guest may not have let go so far; what it did wrong is over.
                keeper.wishes.again()
            keeper.wishes.listening, keeper.wishes.attached = self._listening, attached
            keeper.wake()
        ready = [self.host.loop.create_task(keeper.until_ready()) for keeper in self._portals()]
        if ready:
            _, late = await asyncio.wait(ready, timeout=_READY_S)
            for waiting in late:
                waiting.cancel()

    async def stop_listening(self) -> None:
        """Take no new sessions; what guests see stays as it is."""
        self._listening = False
        for keeper in self._keepers.values():
            keeper.wishes.listening = False
            keeper.wake()

    def ask_to_log_out(self, session_ids: Collection[str], within_s: int) -> None:
        """Let guests close those HBAs that are taken from them, in that time or in ``close_s`` if this is longer.

        Who only has to wait is not told.
        """
        for keeper in self._connected():
            if keeper.options.address in session_ids:
                keeper.leave(within_s)

    async def drop_target(self, target: Target) -> None:
        """End the target's sessions; its HBAs are taken from their guests."""
        target.leases.shut()
        await self._drop(keeper for keeper in self._connected() if keeper.find_target() is target)

    async def drop_session(self, session_id: str) -> bool:
        """End one session at once; who is being taken away without one has had its time."""
        keeper = self._keepers.get(session_id)
        if keeper is None or (keeper.session is None and keeper.wishes.attached):
            return False
        was_connected = keeper.session is not None
        await keeper.drop()
        return was_connected

    async def _drop(self, keepers: Iterable[Keeper]) -> None:
        await asyncio.gather(*(keeper.drop() for keeper in keepers))

    async def close(self) -> None:
        """End every session, and leave all nodes to the next back end: guests see a delay."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        await asyncio.gather(*(keeper.close() for keeper in self._keepers.values()))
        self._keepers.clear()
        around, self._around = self._around, None
        if around is not None:
            await around.guests.close()
            await around.machine.close()

    def luns_changed(self, target: Target) -> None:
        """Guests are told by the nodes of the virtual devices."""
        for keeper in self._connected():
            if keeper.find_target() is target:
                keeper.luns_changed()

    def _guests_changed(self) -> None:
        for keeper in self._keepers.values():
            keeper.wake()

    async def _tick(self) -> None:
        """Time and again: targets come, go, are drained and opened; HBAs that are not needed are forgotten."""
        while True:
            await asyncio.sleep(_TICK_S)
            for address, keeper in list(self._keepers.items()):
                keeper.tick()
                if keeper.over:
                    del self._keepers[address]
                    _log.info("%s is not served any more", keeper)

    # ---- for show ---------------------------------------------------------------------------------------------------

    def _connected(self) -> list[Keeper]:
        return [keeper for keeper in self._keepers.values() if keeper.session is not None]

    def _portals(self) -> list[Keeper]:
        return [keeper for keeper in self._keepers.values() if keeper.wishes.listening and keeper.wishes.attached]

    def portals(self) -> list[PortalInfo]:
        """The HBAs that take sessions."""
        return [
            PortalInfo(keeper.options.address, keeper.options.group, connections=int(keeper.session is not None))
            for keeper in self._portals()
        ]

    def sessions(self) -> list[SessionInfo]:
        """The HBAs that are connected."""
        return [info for keeper in self._connected() if (info := session_info(keeper)) is not None]

    def urls(self, target: Target, lun: int) -> list[str]:
        """Guest, HBA and virtual device."""
        device = Devices(own_options(target).devices).device_of(lun)
        if device is None:
            return []
        return [
            f"{keeper.options.address}/{device}"
            for keeper in self._portals()
            if keeper.options.target_name == target.name
        ]

    def statistics(self) -> dict[str, Any]:
        """Figures for ``tgtadm stat``."""
        return {
            "hbas": {address: hba_figures(keeper) for address, keeper in self._keepers.items()},
            "memory": {
                "budget_bytes": self._memory.budget_bytes,
                "held_bytes": self._memory.held_bytes,
                "refusals": self._memory.refusals,
            },
        }
