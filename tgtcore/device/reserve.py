"""RESERVE and RELEASE (SPC-2 7.21, 7.16): obsolete, and still asked for."""

from tgtcore.device.command import command
from tgtcore.device.contract import DeviceType
from tgtcore.task import Task


class ReserveCommands(DeviceType):
    """RESERVE (6), (10) and RELEASE (6), (10) of the whole logical unit, without third parties."""

    @command(0x16, "16 00 00 00 00 00")
    @command(0x56, "56 00 00 00 00 00 00 00 00 00")
    def reserve(self, task: Task) -> None:
        """RESERVE."""
        self.lu.reservations.reserve(task.nexus.identity)

    @command(0x17, "17 00 00 00 00 00")
    @command(0x57, "57 00 00 00 00 00 00 00 00 00")
    def release(self, task: Task) -> None:
        """RELEASE."""
        self.lu.reservations.release(task.nexus.identity)
