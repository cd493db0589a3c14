"""A connection with a front end: its ring mapped, its event channel bound, its requests served."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from tgtcore_srp.memory import Memory

from tgtcore import Attribute, Draining
from tgtcore.scsi.lun import REPORT_LUNS_WELL_KNOWN
from tgtcore_xen.hba.commands import Commands, Devices
from tgtcore_xen.hba.copying import Copying
from tgtcore_xen.hba.figures import Figures, Logged
from tgtcore_xen.hba.journal import Left
from tgtcore_xen.hba.lost import LOST
from tgtcore_xen.hba.task import OwnTask, lun_field
from tgtcore_xen.vscsiif.errors import RingBroken
from tgtcore_xen.vscsiif.layout import CDB_BYTES
from tgtcore_xen.vscsiif.ring import BackRing

if TYPE_CHECKING:
    from tgtcore import Nexus
    from tgtcore_xen.hba.journal import Journal
    from tgtcore_xen.platform.contract import Platform

_log = logging.getLogger(__name__)

ROUNDS_MAX = 4
"""How often the ring is looked at before others get their turn: a guest can fill it as fast as we empty it."""

_OWN_TAGS = 0x1_0000
"""Tags from here on are of commands of our own: those of a guest have 16 bits."""
_SIMPLE = int(Attribute.SIMPLE)
_WELL_KNOWN = int.from_bytes(REPORT_LUNS_WELL_KNOWN, "big")


class RingPlace(NamedTuple):
    """Where a front end has its ring: what it has written into its nodes."""

    domid: int
    ring_reference: int
    event_channel: int


class Limits(NamedTuple):
    """How much one front end gets.

    :param sg_grant: segments of one command, as it was told.
    :param memory: for data, shared with other connections.
    :param logged: by how much it fills the log, shared with its other connections.
    """

    sg_grant: int
    memory: Memory
    logged: Logged


class Answer(NamedTuple):
    """How a command of our own has ended."""

    status: int
    sense: bytes
    data: bytes


class Server(Protocol):
    """What makes sense of the requests in a ring, and answers them; see :class:`~tgtcore_xen.hba.commands.Commands`."""

    devices: Devices
    awake: bool

    def arrived(self, slots: Sequence[bytes]) -> None:
        """Take requests."""

    def left(self, requests: Iterable[tuple[int, bytes]]) -> None:
        """Take requests that another back end has left."""

    def settle(self) -> bool:
        """Move all data, and publish all answers; whether the front end is to be notified."""

    def retire(self) -> None:
        """Let no command reach a logical unit any more: each gets an answer that says so, also those that are aborted by now."""

    def close(self) -> None:
        """Answer nothing any more."""

    def end(self, then: Callable[[], None]) -> None:
        """Have every task aborted; ``then`` when the last has ended."""


class Connection:
    """Serves one ring.

    :param name: of the virtual HBA, for the log.
    :param nexus: stays open until ``then`` of :meth:`close`, or is closed after :meth:`retire`.
    :param journal: of this ring, closed with the connection; None: if this back end dies, the next one knows only how many
        requests this one has taken.
    :param broken: called once at most, from the loop, when the guest has broken the ring or something can't go on: nothing is
        taken or answered any more, and :meth:`close` is to be called.
    :raises OSError: the ring can't be mapped, or the event channel can't be bound; nothing is left behind.
    """

    names_devices: ClassVar[bool] = True
    """Whether the guest finds logical units by the nodes of virtual devices; if not, it asks with REPORT LUNS itself."""

    def __init__(
        self,
        name: str,
        machine: "Platform",
        place: RingPlace,
        nexus: "Nexus",
        devices: Devices,
        limits: Limits,
        journal: "Journal | None",
        broken: Callable[[str], None],
    ) -> None:
        self.name = name
        self.nexus = nexus
        self.figures = Figures()
        self._loop = machine.loop
        self._journal = journal
        self._broken = broken
        self._stopped = True
        self._retired = False
        self._closing: list[Callable[[], None]] = []
        self._gone = False
        self._own_tag = _OWN_TAGS
        self._mapping = machine.grants.map(place.domid, place.ring_reference)
        self._ring = BackRing(self._mapping.view)
        try:
            self._channel = machine.channels.bind(place.domid, place.event_channel, self._woken)
        except BaseException:
            self._unmap()
            raise
        try:
            # What was published by a process that is killed before it notifies is told by the kernel.
            self._mapping.wake_at_end(self._channel)
            self.commands = self._serve(place, Copying(machine.grants, place.domid, self.figures), devices, limits)
        except BaseException:
            self._unmap()
            self._channel.close()
            raise

    def _serve(self, place: RingPlace, copying: Copying, devices: Devices, limits: Limits) -> Server:
        """What takes the requests; another protocol has another one.

        :raises OSError: there is none.
        """
        return Commands(
            self.name,
            self._ring,
            copying,
            self.nexus,
            devices,
            limits.memory,
            limits.sg_grant,
            self._journal,
            self.figures,
            limits.logged,
            self._wake,
            self._stop,
        )

    def __str__(self) -> str:
        return self.name

    # ---- at work ------------------------------------------------------------------------------------------------------

    @property
    def devices(self) -> Devices:
        """The virtual devices of the front end; may be replaced at any time, which has no effect after :meth:`retire`."""
        return self.commands.devices

    @devices.setter
    def devices(self, devices: Devices) -> None:
        if not self._retired:
            self.commands.devices = devices

    @property
    def in_flight(self) -> int:
        """How many requests were taken and are not answered."""
        return 0 if self._gone else self._ring.unanswered

    def start(self) -> None:
        """Take what stands in the ring; first what another back end has left, if there was one."""
        if self._closing:
            return
        self._stopped = False
        self._turn(self._begin)

    def _begin(self) -> None:
        ring, commands = self._ring, self.commands
        was_used = ring.is_used
        put, requests = self._left()
        ring.resume(put, len(requests))
        commands.awake = True
        commands.left(requests)
        self._settle()
        if self.figures.lost:
            _log.warning("%s: %s", self, self.loss)
        self._look()
        if was_used:
            self._notify()  # it may have been published, but not told, what has ended last

    def _left(self) -> Left:
        """What another back end has left.

        :raises RingBroken: ring and journal do not agree.
        """
        ring, journal = self._ring, self._journal
        taken = ring.taken_before()
        if journal is None:
            return Left(0, [(0, LOST)] * taken)
        left = journal.begin(ring.producer, taken)
        found = left.put + len(left.requests)
        if found > taken:
            raise RingBroken(
                f"the journal has {found} requests that were taken, expected {taken} at most, as the ring says"
            )
        return left

    @property
    def loss(self) -> str:
        """What the guest's administrator should know about requests that are lost; empty: none is."""
        lost = self.figures.lost
        if not lost:
            return ""
        return f"requests that were under way and that no journal knows: {lost}; each ends when the guest aborts it"

    def _woken(self) -> None:
        """The guest has notified, or there may be more than was taken."""
        if not self._stopped:
            self.figures.wake_ups += 1
            self._turn(self._look)

    def _look(self) -> None:
        ring, commands = self._ring, self.commands
        for _ in range(ROUNDS_MAX):
            slots = ring.take()
            if slots:
                commands.awake = True
                commands.arrived(slots)
                self._settle()
            elif not ring.rest():
                return
        self._loop.call_soon(self._woken)

    def _wake(self) -> None:
        self._loop.call_soon(self._ended)

    def _ended(self) -> None:
        """Something has ended since the last turn."""
        if not self._stopped:
            self._turn(self._settle)

    def _settle(self) -> None:
        if self.commands.settle():
            self._notify()

    def _notify(self) -> None:
        self.figures.notifications += 1
        self._channel.notify()

    def _turn(self, work: Callable[[], None]) -> None:
        """Do something; whatever goes wrong at it ends this connection and nothing else."""
        try:
            work()
        except RingBroken as error:
            self._stop(str(error))
        except Exception:
            _log.exception("%s: a request can't be served", self.name)
            self._stop("a failure of our own, which is in the log")

    def _stop(self, why: str) -> None:
        """Take and answer nothing any more."""
        if not self._stopped:
            self._stopped = True
            self._loop.call_soon(self._tell, why)

    def _tell(self, why: str) -> None:
        if not self._closing:
            self._broken(why)

    # ---- commands of our own ----------------------------------------------------------------------------------------------

    async def execute(self, lun: int | None, cdb: bytes, room: int) -> Answer:
        """Send a command without data-out, of which the front end sees nothing.

        :param lun: None: the REPORT LUNS well known logical unit (SPC-5 8.2).
        :param room: how much data-in is wanted.
        :raises Draining: the connection, the target or the logical unit goes away.
        """
        if self._closing:
            raise Draining(f"{self.name} is being closed")
        self._own_tag += 1
        future: asyncio.Future[Answer] = self._loop.create_future()

        def told(task: OwnTask) -> None:
            if future.done():
                return
            if task.responds:
                data = b"" if task.data_in is None else bytes(task.data_in)[:room]  # type: ignore[arg-type]
                future.set_result(Answer(task.status, task.sense, data))
            else:
                future.set_exception(Draining(f"{self.name}: {task} was aborted"))

        whole = cdb.ljust(CDB_BYTES, b"\0")
        field = _WELL_KNOWN if lun is None else lun_field(lun)
        task = OwnTask(self.nexus, field, self._own_tag, _SIMPLE, whole, 0, room)
        task.told = told
        self.nexus.submit(task)
        return await future

    # ---- its end ------------------------------------------------------------------------------------------------------

    def retire(self) -> None:
        """Serve no command any more, but answer each until :meth:`close`: a guest that waits for an answer can't let go.

        The nexus is to be closed next; commands under way are answered when that has aborted them.
        """
        self._retired = True
        self.commands.retire()

    def close(self, then: Callable[[], None]) -> None:
        """Take no more requests; ``then`` when the last command has ended and the ring is unmapped, perhaps at once.

        What has ended before is answered.  What has not is aborted without an answer, and stays in the journal.  A second call only
        adds its ``then``.
        """
        if self._gone:
            then()
            return
        self._closing.append(then)
        if len(self._closing) > 1:
            return
        if not self._stopped:
            self._turn(self._settle)
        self._stopped = True
        self.commands.close()
        self.commands.end(self._all_ended)

    def _all_ended(self) -> None:
        self._gone = True
        self._unmap()
        self._channel.close()
        if self._journal is not None:
            self._journal.close()
        for then in self._closing:
            then()

    def _unmap(self) -> None:
        self._ring.release()
        self._mapping.close()
