"""The I_T_L nexus: what one logical unit remembers of one I_T nexus."""

from typing import TYPE_CHECKING

from tgtcore.errors import CheckCondition
from tgtcore.limits import ATTENTIONS_PER_NEXUS_MAX
from tgtcore.scsi.sense import SenseKey

if TYPE_CHECKING:
    from tgtcore.device import CommandTable
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus.nexus import Nexus

_POWER_ON_CLASS = 0x29


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
    )

    def __init__(self, nexus: "Nexus", lun: int, lu: "LogicalUnit", commands: "CommandTable") -> None:
        self.nexus = nexus
        self.lun = lun
        self.lu = lu
        self.commands = commands
        self.identity = nexus.identity
        self.attentions: list[tuple[int, int]] = []
        """Pending unit attention conditions, the next to be reported first."""
        self.prevents_removal = False
        self.commands_ended = 0
        self.errors = 0
        self.bytes_in = 0
        self.bytes_out = 0

    def establish_attention(self, code: tuple[int, int]) -> None:
        """Add a unit attention condition (SPC-5 5.14.3): resets go first and make the others before them moot; no duplicates."""
        if code in self.attentions:
            return
        if code[0] == _POWER_ON_CLASS:
            self.attentions = [code]
            return
        self.attentions.append(code)
        del self.attentions[:-ATTENTIONS_PER_NEXUS_MAX]

    def clear_attention(self, code: tuple[int, int]) -> None:
        """Remove a condition that another command has made known; without it, do nothing."""
        if code in self.attentions:
            self.attentions.remove(code)

    def report_attention(self) -> CheckCondition:
        """The next pending condition, which is thereby cleared."""
        return CheckCondition(SenseKey.UNIT_ATTENTION, self.attentions.pop(0))

    def statistics(self) -> dict[str, int]:
        """Figures since the nexus was opened."""
        return {
            "commands": self.commands_ended,
            "errors": self.errors,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
        }
