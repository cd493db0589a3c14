"""The I_T_L nexus: what one logical unit remembers of one I_T nexus, and the way of a command through it."""

import logging
from typing import TYPE_CHECKING

from tgtcore.errors import CheckCondition, ReservationConflict
from tgtcore.limits import ATTENTIONS_PER_NEXUS_MAX, TRANSFER_BYTES_MAX
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.task import PENDING, State, Task
from tgtcore.task_set import TaskSet

if TYPE_CHECKING:
    from tgtcore.device import BoundCommand, CommandTable
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus.nexus import Nexus

_log = logging.getLogger(__name__)

_DATA, _RUNNING = State.DATA, State.RUNNING

_RESET_CLASS = 0x29
"""The additional sense code of everything from power on to I_T nexus loss; its qualifiers go from high to low precedence."""

UNUSED = {"commands": 0, "errors": 0, "bytes_in": 0, "bytes_out": 0}
"""The statistics of an I_T_L nexus that was not made yet."""


class ITLNexus:
    """One LUN of one nexus: the checks that come before every command, and dispatch.

    What a command needs of the logical unit is here too: with thousands of logical units cache misses are what costs.

    :param commands: the opcode table as this nexus sees it.
    """

    __slots__ = (
        "attentions",
        "barred",
        "bytes_in",
        "bytes_out",
        "commands",
        "commands_ended",
        "device",
        "errors",
        "identity",
        "lu",
        "lun",
        "nexus",
        "prevents_removal",
        "task_set",
    )

    def __init__(self, nexus: "Nexus", lun: int, lu: "LogicalUnit", commands: "CommandTable") -> None:
        self.nexus = nexus
        self.lun = lun
        self.lu = lu
        self.commands = commands
        self.identity = nexus.identity
        self.device = lu.device
        self.barred = lu.barred
        """Whether something may be in the way of a command: the door of the logical unit, a reservation, a filter that watches."""
        self.task_set = TaskSet(self._start_in_turn)
        self.attentions: tuple[tuple[int, int], ...] = ()
        """Pending unit attention conditions, the next to be reported first."""
        self.prevents_removal = False
        self.commands_ended = 0
        self.errors = 0
        self.bytes_in = 0
        self.bytes_out = 0

    # ---- the way of a command -----------------------------------------------------------------------------------------

    def submit(self, task: Task) -> None:
        """Accept a task and start it, now or when its turn comes.

        :raises Draining: the logical unit is going away; the task was not accepted.
        """
        if self.barred:
            self._meet_bar(task)
        task.itl = self
        try:
            task.command = self._check(task)
        except Exception as refusal:
            self.lu.fail(task, refusal)
            return
        if self.task_set.admit(task):
            self._start(task)

    def _meet_bar(self, task: Task) -> None:
        """Turn a task away if the door is shut; else tell those of it that watch."""
        lu = self.lu
        if lu.leases.draining:
            raise lu.leases.refusal(task)
        if lu.filters is not None:
            task.itl = self
            lu.filters.accepted(task)

    def _check(self, task: Task) -> "BoundCommand":
        cdb = task.cdb
        command = self.commands.find(cdb)
        if self.attentions and not (command is not None and command.passes_attention):
            raise self.report_attention()
        if command is None:
            raise _unknown(self.commands, cdb)
        if self.barred and self.lu.reservations.conflict(self.identity, command.reservation):
            raise ReservationConflict(f"{task}: {self.lu} is reserved")
        if int.from_bytes(cdb[: command.cdb_bytes], "big") & command.reserved_bits:
            raise _reserved_bit_set(command, cdb)
        return command

    def _start(self, task: Task) -> None:
        """Begin a task whose turn has come: ask for data-out if there is not enough of it, or run the handler."""
        wants = task.command.wants
        task.enabled = True
        if wants is not None:
            try:
                wanted = task.wanted_out = wants(self.device, task)
                if wanted > TRANSFER_BYTES_MAX:
                    raise _too_much_data_out(task)
            except Exception as error:
                self.lu.fail(task, error)
                return
            have = 0 if task.data_out is None else len(task.data_out)
            if have < wanted and have < task.expected_out:
                task.state = _DATA
                task.want_data()
                return
        self.execute(task)

    def _start_in_turn(self, task: Task) -> None:
        """Start a task that had to wait; whatever goes wrong with it is not the business of the task that ended before it."""
        try:
            try:
                self._start(task)
            except Exception as error:
                if task.state is State.ENDED:
                    raise
                self.lu.fail(task, error)
        except Exception:
            _log.exception("%s has ended, and its transport failed at that", task)

    def execute(self, task: Task) -> None:
        """Run the handler of a task that has all its data-out."""
        task.state = _RUNNING
        try:
            result = task.command.handler(self.device, task)
        except Exception as error:
            self.lu.fail(task, error)
            return
        if result is not PENDING:
            task.finish(0, b"")

    # ---- what there is to tell ----------------------------------------------------------------------------------------

    def establish_attention(self, code: tuple[int, int]) -> None:
        """Add a unit attention condition, unless it is pending already.

        Of resets only the one of the highest precedence is kept (SAM-5 5.14.1), and it goes first.  The others stay behind it:
        an initiator that is told of a reset does not look for a new capacity or other logical units.
        """
        if not self.attentions:
            self.attentions = (code,)
            return
        if code in self.attentions:
            return
        pending = (*self.attentions, code)
        first = [min(resets)] if (resets := [one for one in pending if one[0] == _RESET_CLASS]) else []
        others = [one for one in pending if one[0] != _RESET_CLASS]
        self.attentions = (*first, *others[-(ATTENTIONS_PER_NEXUS_MAX - len(first)) :])

    def clear_attention(self, code: tuple[int, int]) -> None:
        """Remove a condition that another command has made known; without it, do nothing."""
        self.attentions = tuple(pending for pending in self.attentions if pending != code)

    def report_attention(self) -> CheckCondition:
        """The next pending condition, which is thereby cleared."""
        code, *others = self.attentions
        self.attentions = tuple(others)
        return CheckCondition(SenseKey.UNIT_ATTENTION, code, information=self.device.attention_information(code))

    def loss(self) -> None:
        """What an I_T nexus loss ends (SAM-5 6.3.4) ends, although the nexus goes on; its initiator is told."""
        self.prevents_removal = False
        self.lu.nexus_lost(self)
        self.establish_attention(asc.I_T_NEXUS_LOSS_OCCURRED)

    def tasks(self) -> list[Task]:
        """Its unfinished tasks, oldest first."""
        return [task for task in self.nexus.tasks.values() if task.itl is self]

    def statistics(self) -> dict[str, int]:
        """Figures since the nexus was opened."""
        return {
            "commands": self.commands_ended,
            "errors": self.errors,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
        }


def _unknown(commands: "CommandTable", cdb: bytes) -> CheckCondition:
    """SPC-5 4.3.1: an unknown opcode, or a known one with an unknown service action."""
    if commands.has_opcode(cdb[0]):
        return CheckCondition(SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB, field=(1, 4))
    return CheckCondition(SenseKey.ILLEGAL_REQUEST, asc.INVALID_COMMAND_OPERATION_CODE, field=(0, None))


def _too_much_data_out(task: Task) -> ValueError:
    return ValueError(f"{task} asks for {task.wanted_out} bytes of data-out, expected at most {TRANSFER_BYTES_MAX}")


def _reserved_bit_set(command: "BoundCommand", cdb: bytes) -> CheckCondition:
    offending = int.from_bytes(cdb[: command.cdb_bytes], "big") & command.reserved_bits
    bit_from_end = offending.bit_length() - 1
    byte = command.cdb_bytes - 1 - bit_from_end // 8
    return CheckCondition(SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB, field=(byte, bit_from_end % 8))
