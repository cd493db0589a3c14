"""The commands of one channel: SRP_CMD in, tasks to the nexus, data and SRP_RSP out."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tgtcore import Attribute, Draining, Tmf, TmfRequest, TmfResponse, manage
from tgtcore.scsi import asc
from tgtcore.scsi.sense import Sense, SenseKey
from tgtcore.scsi.status import Status
from tgtcore_srp.answers import Answers
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import DIRECT_BYTES, DIRECT_IN, DIRECT_OUT, Command, unpack_direct
from tgtcore_srp.iu.descriptors import ADDRESS_END
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.header import opcode_and_tag
from tgtcore_srp.iu.opcodes import TaskAttribute
from tgtcore_srp.quirks import as_written
from tgtcore_srp.tables import Tables, table_bytes
from tgtcore_srp.task import SrpTask
from tgtcore_srp.transfers import Transfers

if TYPE_CHECKING:
    from tgtcore_srp.channel import Channel
    from tgtcore_srp.session import Session
    from tgtcore_srp.slots import Slot

_make = tuple.__new__
_DIRECT = (DIRECT_IN, DIRECT_OUT)

_ATTRIBUTES = {
    int(TaskAttribute.SIMPLE): int(Attribute.SIMPLE),
    int(TaskAttribute.HEAD_OF_QUEUE): int(Attribute.HEAD_OF_QUEUE),
    int(TaskAttribute.ORDERED): int(Attribute.ORDERED),
    int(TaskAttribute.ACA): int(Attribute.ACA),
}
_INVALID = Sense(SenseKey.ILLEGAL_REQUEST, asc.INVALID_INFORMATION_UNIT).fixed()
_TOO_MUCH = Sense(SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB).fixed()
_OVERLAPPED = Sense(SenseKey.ABORTED_COMMAND, asc.OVERLAPPED_COMMANDS_ATTEMPTED).fixed()


class Commands:
    """The commands of one channel that is logged in.

    :param immediate_offset: where immediate data begins in a command, as agreed at login; 0: there is none.
    """

    def __init__(self, channel: "Channel", session: "Session", immediate_offset: int) -> None:
        self.channel = channel
        self.session = session
        self.share = channel.share
        self._size_max = channel.transfer_bytes_max
        self.answers = Answers(channel.quirks, channel.fabric.answer_bytes_max)
        self.closed = False
        """Whether nothing is sent any more."""
        self.answer: Callable[[SrpTask], None] = self._answer
        """Answer a task that has ended and whose data was moved."""
        self.transfers = Transfers(self)
        self.ended: Callable[[SrpTask], None] = self.transfers.ended
        """Tell it that a task has ended."""
        self.tables = Tables(self)
        self._take, self._give = self.share.take, self.share.give
        self._answer_to = self.answers.of_task
        self._immediate_offset = immediate_offset
        self._nexus = session.nexus
        self._tasks = session.nexus.tasks
        self._moving = session.moving
        self._credits = channel.credits
        self._delta = channel.credits.delta
        self._give_slot = channel.slots.give
        self._send = channel.fabric.send
        self._accepts_region = channel.fabric.accepts_region
        self._lun = None if channel.quirks.lun is as_written else channel.quirks.lun

    # ---- what arrives -------------------------------------------------------------------------------------------------

    def arrived(self, slot: "Slot", length: int) -> None:
        """Take an SRP_CMD."""
        limit = self._credits
        if not limit.left:
            self._one_too_many(slot)
            return
        limit.left -= 1
        if length >= DIRECT_BYTES:
            # What nearly every command is goes straight to its task, and all others through `Command`.
            solicited, form, tag, lun, attribute, more, cdb, address, key, size = unpack_direct(slot.view)
            if (
                form in _DIRECT
                and 0 < size <= self._size_max
                and address + size <= ADDRESS_END
                and attribute in _ATTRIBUTES
                and not more
            ):
                if not self._take(size):
                    self.refuse(slot, tag, self._full(), b"", solicited)
                    return
                if self._lun is not None:
                    lun = self._lun(lun)
                if form == DIRECT_IN:
                    task = SrpTask(self._nexus, lun, tag, _ATTRIBUTES[attribute], cdb, 0, size)
                    task.in_segments = (_make(Segment, (address, key, size)),)
                    task.accepts_region = self._accepts_region
                else:
                    task = SrpTask(self._nexus, lun, tag, _ATTRIBUTES[attribute], cdb, size, 0)
                    task.out_segments = (_make(Segment, (address, key, size)),)
                task.held_bytes = size
                self._begin(task, slot, solicited)
                return
        self._look_closer(slot, length)

    def _look_closer(self, slot: "Slot", length: int) -> None:
        """Take any command: with tables, with data both ways, with immediate data or none, or malformed."""
        try:
            command = Command.parse(slot.view, length, self._immediate_offset)
        except Malformed as error:
            self.malformed(slot, error)
            return
        out, in_ = command.data_out, command.data_in
        held = 0
        complete = True
        if in_ is not None:
            held = in_.length
            complete = in_.table is None or in_.complete
        if out is not None and not out.offset:
            held += out.length
            complete = complete and out.complete
        if held > self._size_max:
            self._too_much(slot, command, held)
            return
        if not complete:
            held += table_bytes(command)
        if held and not self._take(held):
            self.refuse(slot, command.tag, self._full(), b"", command.solicited)
        elif complete:
            self.submit(slot, command, held)
        else:
            self.tables.fetch(slot, command, held)

    def submit(self, slot: "Slot", command: Command, held: int) -> None:
        """Make a task of a command, all of whose descriptors are there.

        :param held: what it has taken of the memory.
        """
        tag, lun, attribute, cdb, solicited, out, in_ = command
        if self._lun is not None:
            lun = self._lun(lun)
        out_length, in_length = 0 if out is None else out.length, 0 if in_ is None else in_.length
        task = SrpTask(self._nexus, lun, tag, _ATTRIBUTES[attribute], cdb, out_length, in_length)
        if in_ is not None:
            task.in_segments = in_.segments
            task.accepts_region = self._accepts_region
        if out is not None:
            if out.offset:
                task.data_out = slot.view[out.offset : out.offset + out.length]
            else:
                task.out_segments = out.segments
        task.held_bytes = held
        self._begin(task, slot, solicited)

    def _begin(self, task: SrpTask, slot: "Slot", solicited: int) -> None:
        """Hand a task over to the core, which ends it."""
        tag = task.tag
        if tag in self._tasks or tag in self._moving:
            self._give(task.held_bytes)
            self._overlapped(slot, tag, solicited)
            return
        task.commands = self
        task.slot = slot
        if solicited:
            task.solicited = solicited
        try:
            self._nexus.submit(task)
        except Draining as error:
            self._drop(task)
            self.channel.disconnect(str(error))

    def _full(self) -> int:
        """SAM-5 5.3.1: TASK SET FULL tells that something is going to end."""
        return Status.TASK_SET_FULL if self._tasks or self._moving else Status.BUSY

    # ---- what is refused ----------------------------------------------------------------------------------------------

    def refuse(self, slot: "Slot", tag: int, status: int, sense: bytes, solicited: int) -> None:
        """Answer a command that was not accepted."""
        if self.closed:
            self._give_slot(slot)
        else:
            self._send(self.answers.refusal(tag, self._credits.delta(), status, sense, solicited), slot)

    def malformed(self, slot: "Slot", error: Malformed) -> None:
        """Answer a command that breaks the standard.

        A response code would say that better than sense data, but Linux initiators would take it for success.
        """
        self.channel.complain(error)
        _, tag = opcode_and_tag(slot.view)
        self.refuse(slot, tag, Status.CHECK_CONDITION, _INVALID, slot.view[1])

    def _too_much(self, slot: "Slot", command: Command, found: int) -> None:
        """Answer a command with more data than a transfer may have (SBC-4 6.6.4: beyond MAXIMUM TRANSFER LENGTH)."""
        self.channel.complain(f"a command with buffers of {found} bytes, expected {self._size_max} at most")
        self.refuse(slot, command.tag, Status.CHECK_CONDITION, _TOO_MUCH, command.solicited)

    def _one_too_many(self, slot: "Slot") -> None:
        """The initiator may not send any; it gets an answer all the same, and then the channel ends."""
        _, tag = opcode_and_tag(slot.view)
        self._send(self.answers.refusal(tag, 0, Status.TASK_SET_FULL, b"", slot.view[1]), slot)
        self.channel.overrun()

    def _overlapped(self, slot: "Slot", tag: int, solicited: int) -> None:
        """The tag is in use: everything of this nexus in that task set is aborted (SAM-5 5.9.3)."""
        other = self._tasks[tag] if tag in self._tasks else self._moving[tag]

        def still() -> None:
            self.refuse(slot, tag, Status.CHECK_CONDITION, _OVERLAPPED, solicited)

        def aborted(response: TmfResponse) -> None:
            self.session.when_still(lambda task: task.lun == other.lun, still)

        self.channel.complain(f"{other} is not finished, and its tag is used again")
        manage(self._nexus, TmfRequest(Tmf.ABORT_TASK_SET, other.lun), aborted)

    # ---- what ends ----------------------------------------------------------------------------------------------------

    def _answer(self, task: SrpTask) -> None:
        if task.held_bytes:
            self._give(task.held_bytes)
        self._send(self._answer_to(task, self._delta()), task.slot)

    def end_in_silence(self, task: SrpTask) -> None:
        """A task has ended of which the initiator does not hear."""
        self._drop(task)
        self.channel.requests.credits_withheld()

    def _drop(self, task: SrpTask) -> None:
        """Let a task go that gets no answer."""
        if task.moving:
            return  # its end is going to be told again
        self._give(task.held_bytes)
        self._credits.ended_in_silence()
        self._give_slot(task.slot)

    # ---- its end --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Nothing is sent any more: tasks end in silence."""
        self.closed = True
        self.ended = self.answer = self._drop

    def lost(self) -> None:
        """No RDMA goes on any more."""
        self.tables.lost()
        self.transfers.lost()
