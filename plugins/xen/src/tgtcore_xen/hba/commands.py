"""The requests of one front end: tasks to the nexus, data both ways, and exactly one response for each request."""

import errno
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from tgtcore_srp.limits import COMPLAINTS_LOGGED_MAX
from tgtcore_srp.memory import Memory, Share

from tgtcore import Attribute, Draining, TaskState, Tmf, TmfRequest, TmfResponse, log_first, manage
from tgtcore.scsi import asc
from tgtcore.scsi.opcodes import OperationCode
from tgtcore.scsi.sense import Sense, SenseKey
from tgtcore.scsi.status import Status
from tgtcore_xen.hba.delivery import Delivery
from tgtcore_xen.hba.devices import Nowhere
from tgtcore_xen.hba.lost import LOST, Lost
from tgtcore_xen.hba.management import Management
from tgtcore_xen.hba.repeatable import REPEATABLE
from tgtcore_xen.hba.task import BUSY, ERROR, NO_CONNECT, PERIPHERAL_END, Ready, XenTask, lun_field
from tgtcore_xen.vscsiif.errors import Malformed
from tgtcore_xen.vscsiif.layout import PAGE_BYTES, Act, Direction
from tgtcore_xen.vscsiif.request import Request, rqid_of, without_lun
from tgtcore_xen.vscsiif.response import build_response
from tgtcore_xen.vscsiif.segments import parse_segments

if TYPE_CHECKING:
    from tgtcore import Nexus
    from tgtcore_xen.hba.copying import Copying
    from tgtcore_xen.hba.figures import Figures, Logged
    from tgtcore_xen.hba.journal import Journal
    from tgtcore_xen.vscsiif.ring import BackRing

_log = logging.getLogger(__name__)

_parse = Request.parse
_COMMAND, _ABORT, _RESET = int(Act.COMMAND), int(Act.ABORT), int(Act.RESET)
_TO_DEVICE, _FROM_DEVICE = int(Direction.TO_DEVICE), int(Direction.FROM_DEVICE)
_SIMPLE = int(Attribute.SIMPLE)
_INQUIRY = int(OperationCode.INQUIRY)
_DATA, _ENDED = TaskState.DATA, TaskState.ENDED
_UNKNOWN_OUTCOME = Sense(SenseKey.ABORTED_COMMAND, asc.LOGICAL_UNIT_COMMUNICATION_FAILURE).fixed()
"""For a command that a back end has left which died: whether it was performed is not known, and it may not be performed twice."""


class Devices(Protocol):
    """Which virtual devices a front end has."""

    def lun_of(self, channel: int, target: int, lun: int) -> int | None:
        """The LUN behind ``h:c:t:l``, or None."""


class Commands:
    """The requests of one connection.

    Whoever calls :meth:`arrived` calls :meth:`settle` afterwards; what ends outside of that asks for it through ``wake``.

    :param name: for the log.
    :param segments_max: how many segments a command may have, as the front end was told.
    :param logged: of the guest, on all its connections.
    :param wake: have :meth:`settle` called soon; called once until then.
    :param failed: what can't be went wrong: the connection is to end.
    :raises OSError: ENOMEM: there is no memory for one of the largest commands, for which there is to be some at any time.
    """

    def __init__(
        self,
        name: str,
        ring: "BackRing",
        copying: "Copying",
        nexus: "Nexus",
        devices: Devices,
        memory: Memory,
        segments_max: int,
        journal: "Journal | None",
        figures: "Figures",
        logged: "Logged",
        wake: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self.name = name
        self.nexus = nexus
        self.devices = devices
        """May be replaced at any time."""
        self.share = Share(memory)
        if not self.share.promise(segments_max * PAGE_BYTES):
            raise OSError(errno.ENOMEM, f"{name}: there is no memory for a command of {segments_max} pages")
        self.figures = figures
        self.logged = logged
        self.awake = False
        """Whether :meth:`settle` is going to be called."""
        self.closed = False
        """Whether nothing is answered any more."""
        self._memory = memory
        self._ring = ring
        self._copying = copying
        self._delivery = Delivery(copying, memory, figures)
        self._segments_max = segments_max
        self._retired = False
        """Whether the nexus is being closed, or is."""
        self.lost: Lost | None = None
        """Requests that the guest waits for and nobody knows."""
        self._journal = journal
        self._wake = wake
        self._failed = failed
        self._management = Management(self)
        self._tasks = nexus.tasks
        self._wanting: list[XenTask] = []
        self._ended: list[XenTask | Ready] = []
        self._delivering: list[XenTask] = []
        """Those of them that have data-in."""
        memory.sharers += 1

    # ---- what arrives -------------------------------------------------------------------------------------------------

    def arrived(self, slots: Sequence[bytes]) -> None:
        """Take requests."""
        self.figures.requests += len(slots)
        if self.lost is not None:
            self.lost.arrived(slots)
        journal = self._journal
        self._take([(0, slot) for slot in slots] if journal is None else journal.take(slots))

    def left(self, requests: Iterable[tuple[int, bytes]]) -> None:
        """Take requests that a back end has left which died: the place in the journal of each, and the request.

        It may have performed them already; what may be performed once only is not performed again, and of some is known only that
        they are lost.
        """
        known = [one for one in requests if one[1] != LOST]
        lost = [entry for entry, slot in requests if slot == LOST]
        if lost:
            self.lost = Lost(lost, self._ring.unheard())
            self.lost.arrived([slot for _, slot in known])
            self._management.begin(self._ring)
        self._take([one for one in known if self._is_repeatable(*one)])

    def _is_repeatable(self, entry: int, slot: bytes) -> bool:
        try:
            request = _parse(slot, self._segments_max)
        except Malformed:
            return True  # it is answered as it would have been
        if request.act != _COMMAND or request.cdb[0] in REPEATABLE:
            return True
        self.answer(entry, build_response(request.rqid, Status.CHECK_CONDITION, 0, _UNKNOWN_OUTCOME))
        return False

    def _take(self, slots: Iterable[tuple[int, bytes]]) -> None:
        requests: list[tuple[int, Request]] = []
        indirect = False
        most = self._segments_max
        for entry, slot in slots:
            try:
                request = _parse(slot, most)
            except Malformed as error:
                self.malformed(entry, rqid_of(slot), error)
                continue
            if request.indirect:
                indirect = True
            requests.append((entry, request))
        if indirect:
            requests = self._completed(requests)
        for entry, request in requests:
            act = request.act
            if act == _COMMAND:
                self._submit(entry, request)
            elif act == _ABORT:
                self._management.abort(entry, request)
            elif act == _RESET:
                self._management.reset(entry, request)
            else:
                self.malformed(entry, request.rqid, Malformed("what is asked for", act, "1, 2 or 3"))

    def _completed(self, requests: list[tuple[int, Request]]) -> list[tuple[int, Request]]:
        """Fetch the segments of those that only say where they are; what is wrong with one is answered."""
        partly = [one for one in requests if one[1].indirect]
        buffer = self._memory.buffer(sum(request.length for _, request in partly))
        if buffer is None:
            for entry, request in partly:
                self.busy(entry, request.rqid, request.length)
            return [one for one in requests if not one[1].indirect]
        view, at, tables = memoryview(buffer), 0, []
        for _, request in partly:
            tables.append((request.segments, view[at : at + request.length]))
            at += request.length
        fetched = iter(zip(tables, self._copying.tables(tables), strict=True))
        whole = []
        for entry, request in requests:
            if request.indirect:
                (_, records), ok = next(fetched)
                try:
                    if not ok:
                        raise Malformed("a table of segments", "in no page that may be read", "one that is granted")
                    segments, length = parse_segments(records)
                except Malformed as error:
                    self.malformed(entry, request.rqid, error)
                    continue
                request = request.completed(segments, length)
            whole.append((entry, request))
        return whole

    def _submit(self, entry: int, request: Request) -> None:
        rqid, _, channel, target, lun, cdb, direction, _, segments, length, _ = request
        number = self.devices.lun_of(channel, target, lun)
        if number is None:
            self.answer(entry, build_response(rqid, NO_CONNECT))
            return
        if rqid in self._tasks:
            self.malformed(entry, rqid, Malformed("the rqid", rqid, "one of no command that is unanswered"))
            return
        out = in_ = 0
        if direction == _FROM_DEVICE:
            in_ = length
        elif direction == _TO_DEVICE:
            out = length
        else:
            length = 0
        if length and not self.share.take(length):
            self.busy(entry, rqid, length)
            return
        if cdb[0] == _INQUIRY and cdb[1] >> 5 == lun & 7:
            cdb = without_lun(cdb)
        nexus = self.nexus
        field = number << 48 if number < PERIPHERAL_END else lun_field(number)
        task = XenTask(nexus, field, rqid, _SIMPLE, cdb, out, in_)
        task.commands = self
        task.entry = entry
        task.held_bytes = length
        task.segments = segments
        try:
            nexus.submit(task)
        except Draining:
            self.share.give(length)
            self.busy(entry, rqid, length)

    # ---- what is refused ----------------------------------------------------------------------------------------------

    def answer(self, entry: int, response: bytes) -> None:
        """Put a response in the ring, behind those of all that has ended before."""
        self._ended.append(Ready(entry, response))
        if not self.awake:
            self.awake = True
            self._wake()

    def busy(self, entry: int, rqid: int, length: int) -> None:
        """Answer a command that is not accepted now."""
        self.figures.busy += 1
        self.answer(entry, build_response(rqid, BUSY, length))

    def malformed(self, entry: int, rqid: int, error: Malformed) -> None:
        """Answer a request that breaks the protocol; only the first few are logged."""
        self.figures.malformed += 1
        self.logged.malformed += 1
        log_first(
            _log,
            logging.WARNING,
            self.logged.malformed,
            COMPLAINTS_LOGGED_MAX,
            "%s: request 0x%x: %s",
            self.name,
            rqid,
            error,
        )
        self.answer(entry, build_response(rqid, ERROR))

    # ---- tasks ask for something ------------------------------------------------------------------------------------------

    def wants(self, task: XenTask) -> None:
        """Have data-out of a task fetched; when nothing is answered any more, none is: the task is going to be aborted."""
        self._wanting.append(task)
        if not self.awake:
            self.awake = True
            self._wake()

    def ended(self, task: XenTask) -> None:
        """Have a task answered that has ended; without an answer if none is given any more."""
        if self.closed:
            self.share.give(task.held_bytes)
            return
        self._ended.append(task)
        if task.expected_in and task.data_in is not None and not task.sense:
            self._delivering.append(task)
        if not self.awake:
            self.awake = True
            self._wake()

    def retire(self) -> None:
        """Let no command reach a logical unit any more; those under way, which are going to be aborted, are answered likewise."""
        self._retired = True
        self.devices = Nowhere()
        for task in self._tasks.values():
            if isinstance(task, XenTask):
                task.silent_end = NO_CONNECT

    def close(self) -> None:
        """Answer nothing any more; what has ended and could not be answered is let go of."""
        self.closed = True
        ended, self._ended = self._ended, []
        self._delivering.clear()
        for one in ended:
            self.share.give(one.held_bytes)

    def end(self, then: Callable[[], None]) -> None:
        """Have every task aborted in silence; ``then`` when the last has ended."""

        def ended() -> None:
            self.share.give(self.share.held_bytes)  # of what had ended and was not answered, because that failed
            self.share.release()
            self._memory.sharers -= 1
            then()

        end = self.nexus.close if self._retired else self.nexus.abort_tasks
        end(ended)

    # ---- what was asked for is done ---------------------------------------------------------------------------------------

    def settle(self) -> bool:
        """Fetch and deliver all data that there is to move, and put all responses in the ring that there are.

        :returns: whether the front end is to be notified.
        """
        while self._wanting:
            self._fetch()
        self.awake = False
        if self._ended:
            self._answer()
        notify = self._ring.publish()
        if self._journal is not None:
            self._journal.published()
        return notify

    def _fetch(self) -> None:
        """Fetch data-out with one call, and let those tasks go on; that may let others start."""
        wanting, self._wanting = self._wanting, []
        wanted: list[tuple[XenTask, bytearray]] = []
        for task in wanting:
            if task.state is not _DATA:
                continue  # it was aborted meanwhile
            buffer = self._memory.buffer(min(task.wanted_out, task.expected_out))
            if buffer is None:
                self.figures.busy += 1
                self._refuse(task, BUSY)
            else:
                wanted.append((task, buffer))
        if not wanted:
            return
        done = self._copying.data_out(wanted)
        for (task, buffer), ok in zip(wanted, done, strict=True):
            if task.state is not _DATA:
                continue  # one that went on before has aborted it
            if ok:
                task.data_out = buffer
                task.data_arrived()
            else:
                self._refuse(task, ERROR)

    def _refuse(self, task: XenTask, refusal: int) -> None:
        """End a command that can't get its data: nothing was done, so it is aborted, and the guest is told why."""
        task.refusal = refusal

        def aborted(response: TmfResponse) -> None:
            if task.state is not _ENDED:
                self._failed(f"{task} can neither get its data nor be aborted: {response.name}")

        manage(self.nexus, TmfRequest(Tmf.ABORT_TASK, task.lun, task.tag), aborted)

    def _answer(self) -> None:
        """Deliver data-in with one call, then put the responses in the ring in the order in which commands have ended."""
        ended, self._ended = self._ended, []
        if self._delivering:
            delivering, self._delivering = self._delivering, []
            self._delivery.deliver(delivering)
        self._ring.put(*[one.response() for one in ended])
        if self._journal is not None:
            self._journal.put([one.entry for one in ended])
        held = sum([one.held_bytes for one in ended])
        if held:
            self.share.give(held)
