"""TEST UNIT READY, REQUEST SENSE and SEND DIAGNOSTIC: is the device well?"""

from tgtcore.device.command import command
from tgtcore.device.contract import DeviceType
from tgtcore.errors import CheckCondition
from tgtcore.reservations import ReservationClass
from tgtcore.scsi import asc
from tgtcore.scsi.sense import Sense, SenseKey
from tgtcore.task import Task

_DESC = 0x01


class ReadinessCommands(DeviceType):
    """SPC-5 6.46 TEST UNIT READY, 6.39 REQUEST SENSE, 6.42 SEND DIAGNOSTIC."""

    def check_ready(self) -> None:
        """Whether the medium can be accessed.

        :raises CheckCondition: NOT READY, and why.
        """
        if not self.lu.online:
            raise CheckCondition(SenseKey.NOT_READY, asc.LOGICAL_UNIT_NOT_READY_OFFLINE)

    @command(0x00, "00 00 00 00 00 00", reservation=ReservationClass.READINESS)
    def test_unit_ready(self, task: Task) -> None:
        """TEST UNIT READY."""
        self.check_ready()

    @command(0x03, "03 01 00 00 FF 00", passes_attention=True)
    def request_sense(self, task: Task) -> None:
        """REQUEST SENSE: what the next command would be told; a pending unit attention is thereby reported."""
        assert task.itl is not None
        try:
            if task.itl.attentions:
                raise task.itl.report_attention()
            self.check_ready()
            sense = Sense(SenseKey.NO_SENSE, asc.NO_ADDITIONAL_SENSE_INFORMATION)
        except CheckCondition as condition:
            sense = Sense.of(condition)
        task.data_in = sense.encode(bool(task.cdb[1] & _DESC))[: task.cdb[4]]

    @command(0x1D, "1D 14 00 00 00 00", reservation=ReservationClass.WRITE, timeout_s=60)
    def send_diagnostic(self, task: Task) -> None:
        """SEND DIAGNOSTIC: only the default self-test, which passes when the device is ready (SPC-5 6.42)."""
        self.check_ready()
