"""REPORT LUNS (SPC-5 6.34)."""

from typing import TYPE_CHECKING

from tgtcore.device.command import command
from tgtcore.device.contract import DeviceType
from tgtcore.device.refusals import invalid_cdb_field
from tgtcore.scsi import asc
from tgtcore.scsi.lun import REPORT_LUNS_WELL_KNOWN
from tgtcore.scsi.report_luns import SelectReport, report_luns_data
from tgtcore.task import Task

if TYPE_CHECKING:
    from tgtcore.nexus import Nexus

USAGE = "A0 00 FF 00 00 00 FF FF FF FF 00 00"


class ReportLunsCommands(DeviceType):
    """REPORT LUNS, which every logical unit of a target answers alike."""

    @command(0xA0, USAGE, passes_attention=True)
    def report_luns(self, task: Task) -> None:
        """REPORT LUNS."""
        answer_report_luns(task)


def answer_report_luns(task: Task) -> None:
    """Put the parameter data into ``task.data_in``; every logical unit's REPORTED LUNS DATA HAS CHANGED is thereby told.

    :raises CheckCondition: SELECT REPORT asks for something that there is not.
    """
    cdb, nexus = task.cdb, task.nexus
    fields = _fields(nexus, task.lun, cdb[2])
    task.data_in = report_luns_data(fields)[: int.from_bytes(cdb[6:10], "big")]
    nexus.clear_attention(asc.REPORTED_LUNS_DATA_HAS_CHANGED)


def _fields(nexus: "Nexus", asked: int, select: int) -> list[bytes]:
    """No logical unit belongs to a conglomerate, so there are no administrative ones, and no subsidiary ones to ask about."""
    if select == SelectReport.WELL_KNOWN:
        return [REPORT_LUNS_WELL_KNOWN]
    if select == SelectReport.ADMINISTRATIVE:
        return []
    fields = nexus.reported_luns(asked)
    if select in (SelectReport.ADDRESSABLE, SelectReport.ALL_ADMINISTRATIVE):
        return fields
    if select == SelectReport.ALL:
        return [*fields, REPORT_LUNS_WELL_KNOWN]
    raise invalid_cdb_field(2)
