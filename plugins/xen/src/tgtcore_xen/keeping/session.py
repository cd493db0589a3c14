"""A virtual HBA that is connected: its nexus, its connection, and the logical units that the guest finds behind it."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tgtcore import Draining, InitiatorPort, Nexus, Target, TgtError
from tgtcore.scsi.lun import InvalidLun, decode_lun
from tgtcore.scsi.status import Status
from tgtcore_xen.guests import Guest
from tgtcore_xen.hba.connection import Connection, Limits, RingPlace
from tgtcore_xen.hba.devices import Devices
from tgtcore_xen.identity import initiator_ports, own_options, target_port
from tgtcore_xen.keeping.addressing import Addressing
from tgtcore_xen.keeping.journals import journal_folder, open_journal
from tgtcore_xen.keeping.surroundings import Surroundings
from tgtcore_xen.options import HbaOptions
from tgtcore_xen.srp.connection import SrpConnection
from tgtcore_xen.srp.layout import PROTOCOL as SRP
from tgtcore_xen.xenbus.observed import Observed, Ring

if TYPE_CHECKING:
    from tgtcore_xen.hba.journal import Journal

_log = logging.getLogger(__name__)

_REPORT_LUNS_BYTES = 8 + 8 * 4096
_REPORT_LUNS = b"\xa0" + bytes(5) + _REPORT_LUNS_BYTES.to_bytes(4, "big") + bytes(2)
_TRIES_MAX = 8
_AGAIN_S = 0.1
_ANSWER_S = 5.0

PROTOCOLS: dict[str, type[Connection]] = {
    **dict.fromkeys(("", "x86_64-abi", "x86_32-abi", "arm-abi"), Connection),
    SRP: SrpConnection,
}
"""What speaks with a front end, by the protocol that this names."""


@dataclass(frozen=True)
class Refusal:
    """That a front end can't be served, for as long as somebody remembers it.

    :param why: the message.
    :param may_change: whether it may be served later without anything new from the guest.
    :param passes: whether that may be a matter of moments: another back end lets go of the ring, or the target takes nobody.
    """

    why: str
    may_change: bool = False
    passes: bool = False

    def __str__(self) -> str:
        return self.why


class Refused(Exception):
    """A front end can't be served; see :class:`Refusal`, which is what may be kept: an error keeps all that its calls knew."""

    def __init__(self, why: str, *, may_change: bool = False, passes: bool = False) -> None:
        super().__init__(why)
        self.refusal = Refusal(why, may_change, passes)


class Session:
    """Serves a front end until it is closed.

    :param broken: called once at most, when the guest has broken the rules.
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
        self._journal: Journal | None = None
        speaker = PROTOCOLS.get(observed.protocol)
        if speaker is None:
            name = observed.protocol.encode("unicode_escape").decode()  # a guest writes into our log here
            raise Refused(
                f'its front end speaks protocol "{name}", expected one of: '
                f"{', '.join(filter(None, PROTOCOLS))}, or none"
            )
        self._around = around
        self._timers: list[asyncio.TimerHandle] = []
        self._addressing = Addressing(target.name, own_options(target).devices)
        if not fresh:
            self._addressing.follow(observed)
        self.nexus = _open_nexus(hba, guest, target, around)
        try:
            self._journal = self._open_journal(hba, guest, ring, around, fresh=fresh)
            self.connection = speaker(
                f"virtual HBA {hba.address}",
                around.machine,
                RingPlace(guest.domid, *ring),
                self.nexus,
                self._devices(),
                Limits(observed.sg_grant, around.memory),
                self._journal,
                broken,
            )
        except (OSError, Refused) as error:
            self._forget_journal()
            self._stop_timers()
            self.nexus.close(lambda: None)
            if isinstance(error, Refused):
                raise
            raise Refused(f"its ring can't be used: {error}", passes=not fresh) from error

    @staticmethod
    def _open_journal(
        hba: HbaOptions, guest: Guest, ring: Ring, around: Surroundings, *, fresh: bool
    ) -> "Journal | None":
        folder = journal_folder(around.options())
        try:
            return None if folder is None else open_journal(folder, guest, hba.dev, ring, fresh=fresh)
        except OSError as error:
            raise Refused(f"its journal can't be used: {error}", may_change=True, passes=not fresh) from error

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

    async def close(self, *, keep: bool) -> None:
        """Serve no more; returns when the last command has ended.

        :param keep: whether another back end goes on with the ring, and needs what was not answered.
        """
        self._stop_timers()
        ends = []
        for close in (self.connection.close, self.nexus.close):
            ends.append(ended := self._loop.create_future())
            close(partial(_set, ended))
        await asyncio.gather(*ends)
        if not keep and self._journal is not None:
            self._journal.remove()

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _forget_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()


def _set(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)


def _open_nexus(hba: HbaOptions, guest: Guest, target: Target, around: Surroundings) -> Nexus:
    port = target_port(target, hba, around.hbas())
    try:
        return around.host.open_nexus(target, _admitted(hba, guest, target, around), port)
    except TgtError as error:
        raise Refused(str(error), may_change=True, passes=isinstance(error, Draining)) from error


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
