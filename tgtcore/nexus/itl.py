"""The I_T_L nexus: what one logical unit remembers of one I_T nexus."""

from typing import TYPE_CHECKING

from tgtcore.errors import CheckCondition
from tgtcore.limits import ATTENTIONS_PER_NEXUS_MAX
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.task_set import TaskSet

if TYPE_CHECKING:
    from tgtcore.device import CommandTable
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus.nexus import Nexus
    from tgtcore.task import Task

_RESET_CLASS = 0x29
"""The additional sense code of everything from power on to I_T nexus loss; its qualifiers go from high to low precedence."""

UNUSED = {"commands": 0, "errors": 0, "bytes_in": 0, "bytes_out": 0}
"""The statistics of an I_T_L nexus that was not made yet."""


class ITLNexus:
    """One LUN of one nexus.

    :param commands: the opcode table as this nexus sees it.
    """

    __slots__ = (
        "attentions",
        "bytes_in",
        "bytes_out",
        "commands",
        "commands_ended",
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
        self.task_set = TaskSet(lu.start_in_turn)
        self.attentions: tuple[tuple[int, int], ...] = ()
        """Pending unit attention conditions, the next to be reported first."""
        self.prevents_removal = False
        self.commands_ended = 0
        self.errors = 0
        self.bytes_in = 0
        self.bytes_out = 0

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
        return CheckCondition(SenseKey.UNIT_ATTENTION, code)

    def loss(self) -> None:
        """What an I_T nexus loss ends (SAM-5 6.3.4) ends, although the nexus goes on; its initiator is told."""
        self.prevents_removal = False
        self.lu.nexus_lost(self)
        self.establish_attention(asc.I_T_NEXUS_LOSS_OCCURRED)

    def tasks(self) -> "list[Task]":
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
