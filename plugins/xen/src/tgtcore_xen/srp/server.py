"""What is behind a ring with SRP: a channel of tgtcore_srp, in the place of the requests of virtual SCSI."""

import errno
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from tgtcore_srp.channel import Channel
from tgtcore_srp.iu.opcodes import LogoutReason, Opcode
from tgtcore_srp.memory import Memory
from tgtcore_srp.port import SrpPort
from tgtcore_srp.quirks import Quirks

from tgtcore_xen.srp.fabric import RingFabric
from tgtcore_xen.srp.layout import EMPTY, REQUEST_LIMIT, parse_slot
from tgtcore_xen.vscsiif.errors import Malformed, RingBroken

if TYPE_CHECKING:
    from tgtcore import Nexus
    from tgtcore_xen.hba.commands import Devices
    from tgtcore_xen.hba.copying import Copying
    from tgtcore_xen.hba.figures import Figures
    from tgtcore_xen.vscsiif.ring import BackRing

_SENSE_BYTES_MAX = 96


class RingChannel(Channel):
    """One that keeps why it was ended."""

    why = ""

    def disconnect(self, why: str, reason: int = LogoutReason.NONE) -> None:
        """See :class:`~tgtcore_srp.channel.Channel`."""
        self.why = self.why or why
        super().disconnect(why, reason)


class SrpServer:
    """Takes what is in the slots of a ring, and answers it; see :class:`~tgtcore_xen.hba.commands.Commands`.

    A ring has one channel, and a channel one login that succeeds: who wants another one connects anew.

    :param domid: of the guest.
    :param wake: have :meth:`settle` called soon; called once until then.
    :param failed: the front end breaks the rules: the connection is to end.
    :raises OSError: ENOMEM: there is no memory for a login.
    """

    def __init__(
        self,
        name: str,
        ring: "BackRing",
        copying: "Copying",
        domid: int,
        nexus: "Nexus",
        devices: "Devices",
        memory: Memory,
        figures: "Figures",
        wake: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self.name = name
        self.nexus = nexus
        self.devices = devices
        """Nobody asks for them: a LUN is a LUN."""
        self.figures = figures
        self.awake = False
        """Whether :meth:`settle` is going to be called."""
        self._ring = ring
        self._wake = wake
        self._failed = failed
        self._is_logout = False
        self._fabric = RingFabric(ring, copying, domid, self._awake, self._over)
        quirks = Quirks(sense_bytes_max=_SENSE_BYTES_MAX, notifies=False)
        try:
            self.channel = RingChannel(name, SrpPort(self), self._fabric, memory, quirks, REQUEST_LIMIT)
        except MemoryError as error:
            raise OSError(errno.ENOMEM, str(error)) from error

    def open(self, initiator_port_id: bytes, target_port_id: bytes) -> "Nexus":
        """The nexus of a login: who the initiator is, the machine has said already."""
        return self.nexus

    # ---- what arrives -------------------------------------------------------------------------------------------------

    def arrived(self, slots: Sequence[bytes]) -> None:
        """Take slots of the ring.

        :raises RingBroken: in one there can be no information unit.
        """
        self.figures.requests += len(slots)
        channel, fabric = self.channel, self._fabric
        for slot in slots:
            try:
                unit = parse_slot(slot)
            except Malformed as error:
                raise RingBroken(str(error)) from error
            if not fabric.open:
                continue
            place = channel.slot()
            if place is None:
                continue
            place.view[: len(unit)] = unit
            self._is_logout = len(unit) > 0 and unit[0] == Opcode.I_LOGOUT
            channel.receive(place, len(unit))
            self._is_logout = False

    def left(self, requests: Iterable[tuple[int, bytes]]) -> None:
        """A session does not outlive its back end: what another one has left gets no answer."""

    def _awake(self) -> None:
        if not self.awake:
            self.awake = True
            self._wake()

    def settle(self) -> bool:
        """Move all data that there is to move, and publish all answers; whether the front end is to be notified."""
        fabric, ring = self._fabric, self._ring
        if fabric.open:
            fabric.move()
        self.awake = False
        for _ in range(ring.unanswered - self.channel.slots.used):
            ring.put(EMPTY)
        return ring.publish()

    # ---- the end --------------------------------------------------------------------------------------------------------

    def _over(self) -> None:
        """The channel has ended: after a logout the front end is going to close the ring, else it has to."""
        self._fabric.close()
        self.channel.lost()
        self._awake()
        if not self._is_logout:
            self._failed(f"its SRP session was ended: {self.channel.why}")

    def retire(self) -> None:
        """The session is over; what comes on gets empty answers."""
        self.close()

    def close(self) -> None:
        """Answer nothing any more."""
        self._fabric.close()
        self.channel.lost()

    def end(self, then: Callable[[], None]) -> None:
        """Have every task aborted; ``then`` when the last has ended."""
        if self.channel.session is None:
            self.nexus.close(then)
        else:  # which takes the nexus along
            self.channel.when_gone(then)
