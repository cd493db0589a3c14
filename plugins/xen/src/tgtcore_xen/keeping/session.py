"""A virtual HBA that is connected: its nexus, its connection, and the logical units that the guest finds behind it."""

import asyncio
from collections.abc import Callable
from typing import Any

from tgtcore import Draining, InitiatorPort, Nexus, NexusInUse, Target, TgtError
from tgtcore.scsi.lun import InvalidLun, decode_lun
from tgtcore.scsi.status import Status
from tgtcore_xen.guests import Guest
from tgtcore_xen.hba.devices import Devices
from tgtcore_xen.identity import initiator_ports, own_options, target_port
from tgtcore_xen.keeping.addressing import Addressing
from tgtcore_xen.keeping.line import Line, ended
from tgtcore_xen.keeping.refusal import Refused
from tgtcore_xen.keeping.surroundings import Surroundings
from tgtcore_xen.options import HbaOptions
from tgtcore_xen.xenbus.observed import Observed, Ring

_REPORT_LUNS_BYTES = 8 + 8 * 4096
_REPORT_LUNS = b"\xa0" + bytes(5) + _REPORT_LUNS_BYTES.to_bytes(4, "big") + bytes(2)
_TRIES_MAX = 8
_AGAIN_S = 0.1
_ANSWER_S = 5.0


class Session:
    """Serves a front end until it is closed.

    The parameters are those of :class:`~tgtcore_xen.keeping.line.Line`.

    :ivar line: stays open when the session is retired.
    :raises Refused: it can't be served; nothing is left behind.
    """

    def __init__(
        self,
        hba: HbaOptions,
        guest: Guest,
        target: Target,
        observed: Observed,
        ring: Ring,
        around: Surroundings,
        broken: Callable[[str], None],
        *,
        fresh: bool,
    ) -> None:
        self.target = target
        self.protocol = observed.protocol
        self._loop = around.host.loop
        self._around = around
        self._timers: list[asyncio.TimerHandle] = []
        self._addressing = Addressing(target.name, own_options(target).devices)
        if not fresh:
            self._addressing.follow(observed)
        self.nexus = _open_nexus(hba, guest, target, around)
        try:
            self.line = Line(hba, guest, observed, ring, around, self.nexus, self._devices(), broken, fresh=fresh)
        except Refused:
            self._stop_timers()
            self.nexus.close(lambda: None)
            raise
        self.connection = self.line.connection

    async def find_devices(self) -> dict[str, str] | None:
        """Ask which logical units there are, and let the guest address those; name by ``h:c:t:l``.

        :returns: None: the target goes away, or does not answer.
        """
        mapping = own_options(self.target).devices
        luns = await self._reported() if self.connection.names_devices else []
        if luns is None:
            return None
        self._addressing.mapping = mapping
        self.connection.devices = self._devices()
        return {str(device): f"{self.target.name}:{lun}" for device, lun in Devices(mapping).devices_of(luns).items()}

    def follow(self, observed: Observed) -> None:
        """The nodes were looked at: a virtual device that the guest has leads to the same LUN until it lets go of it."""
        if self._addressing.follow(observed):
            self.connection.devices = self._devices()

    def _devices(self) -> Devices:
        within_s = self._around.options().close_s
        devices, again = self._addressing.devices(self._loop.time(), within_s)
        if again:
            self._timers.append(self._loop.call_later(within_s, self._is_late))
        return devices

    def _is_late(self) -> None:
        """The guest has had its time."""
        self._timers = [timer for timer in self._timers if timer.when() > self._loop.time()]
        self.connection.devices = self._devices()

    @property
    def is_remapped(self) -> bool:
        """Whether the target's options have other virtual devices by now."""
        return own_options(self.target).devices != self._addressing.mapping

    async def _reported(self) -> list[int] | None:
        """LUNs by REPORT LUNS; somebody may be busy for a moment."""
        for _ in range(_TRIES_MAX):
            try:
                asked = self.connection.execute(None, _REPORT_LUNS, _REPORT_LUNS_BYTES)
                answer = await asyncio.wait_for(asked, _ANSWER_S)
            except (TgtError, TimeoutError):
                return None
            if answer.status == Status.GOOD:
                return _parse_luns(answer.data)
            await asyncio.sleep(_AGAIN_S if answer.status == Status.BUSY else 0)
        return None

    def retire(self) -> "asyncio.Future[None]":
        """Have no nexus any more, but answer the guest as long as the line is open, so that it can let go: nothing is there.

        :returns: done when the last command has ended.
        """
        self._stop_timers()
        self.connection.retire()
        return ended(self._loop, self.nexus.close)

    def close(self, *, keep: bool) -> "asyncio.Future[Any]":
        """Serve no more; see :meth:`Line.close`."""
        self._stop_timers()
        return asyncio.gather(self.line.close(keep=keep), ended(self._loop, self.nexus.close))

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()


def _open_nexus(hba: HbaOptions, guest: Guest, target: Target, around: Surroundings) -> Nexus:
    port = target_port(target, hba, around.hbas())
    try:
        return around.host.open_nexus(target, _admitted(hba, guest, target, around), port)
    except TgtError as error:
        passes, would_overtake = isinstance(error, Draining), isinstance(error, NexusInUse)
        raise Refused(str(error), may_change=True, passes=passes, would_overtake=would_overtake) from error


def _admitted(hba: HbaOptions, guest: Guest, target: Target, around: Surroundings) -> InitiatorPort:
    for port in initiator_ports(guest, hba.dev):
        if around.host.admits(target, port, hba.address):
            return port
    raise Refused(f"{target} does not admit {guest}", may_change=True)


def _parse_luns(data: bytes) -> list[int]:
    """The LUNs in parameter data of REPORT LUNS (SPC-5 6.33)."""
    length = int.from_bytes(data[:4], "big")
    found = []
    for at in range(8, min(8 + length, len(data) - 7), 8):
        try:
            found.append(decode_lun(data[at : at + 8]))
        except InvalidLun:  # a well known logical unit
            continue
    return found
