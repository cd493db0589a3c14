"""REPORT SUPPORTED OPERATION CODES and TASK MANAGEMENT FUNCTIONS (SPC-5 6.35, 6.36), from the opcode table itself."""

from tgtcore.device.command import BoundCommand, CommandTable, command
from tgtcore.device.contract import DeviceType
from tgtcore.device.refusals import invalid_cdb_field
from tgtcore.reservations import ReservationClass
from tgtcore.scsi.rsoc import (
    ReportingOptions,
    SupportedCommand,
    all_commands_data,
    not_supported_data,
    supported_tmfs_data,
)
from tgtcore.task import Task

_RCTD, _REPD = 0x80, 0x80
_OPTIONS = 0x07
_TMFS_FIRST = 0x80 | 0x40 | 0x10 | 0x08 | 0x04 | 0x02
"""ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET, QUERY TASK, TARGET RESET; not CLEAR ACA, not WAKEUP."""
_TMFS_LENGTH_MIN = 4
_TMFS_SECOND = 0x04 | 0x02 | 0x01
"""QUERY ASYNCHRONOUS EVENT, QUERY TASK SET, I_T NEXUS RESET."""


class SupportedCommands(DeviceType):
    """What the logical unit can do, as it says itself."""

    @command(0xA3, "A3 0C 87 FF FF FF FF FF FF FF 00 00", service_action=0x0C, reservation=ReservationClass.READ)
    def report_supported_operation_codes(self, task: Task) -> None:
        """REPORT SUPPORTED OPERATION CODES: all commands, or one with its CDB usage data."""
        assert task.itl is not None
        cdb = task.cdb
        timeouts = bool(cdb[2] & _RCTD)
        options, opcode, action = cdb[2] & _OPTIONS, cdb[3], int.from_bytes(cdb[4:6], "big")
        table = task.itl.commands
        if options == ReportingOptions.ALL:
            data = all_commands_data(map(_supported, table), timeouts=timeouts)
        else:
            found = _find(table, options, opcode, action)
            data = not_supported_data() if found is None else _supported(found).one(timeouts=timeouts)
        task.data_in = data[: int.from_bytes(cdb[6:10], "big")]

    @command(0xA3, "A3 0D 80 00 00 00 FF FF FF FF 00 00", service_action=0x0D, reservation=ReservationClass.READ)
    def report_supported_task_management_functions(self, task: Task) -> None:
        """REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS."""
        data = supported_tmfs_data(_TMFS_FIRST, _TMFS_SECOND, extended=bool(task.cdb[2] & _REPD))
        length = int.from_bytes(task.cdb[6:10], "big")
        if length < _TMFS_LENGTH_MIN:
            raise invalid_cdb_field(6)
        task.data_in = data[:length]


def _supported(bound: BoundCommand) -> SupportedCommand:
    entry = bound.command
    return SupportedCommand(entry.opcode, entry.service_action, entry.usage, entry.timeout_s)


def _find(table: CommandTable, options: int, opcode: int, action: int) -> BoundCommand | None:
    """The one command that is asked about.

    :raises CheckCondition: the opcode has service actions and none was asked for, or the other way round.
    """
    slot = table.slots[opcode]
    by_action = isinstance(slot, dict)
    if options == ReportingOptions.OPCODE:
        if by_action:
            raise invalid_cdb_field(2, 2)
        return slot if isinstance(slot, BoundCommand) else None
    if options == ReportingOptions.OPCODE_AND_SERVICE_ACTION:
        if isinstance(slot, BoundCommand):
            raise invalid_cdb_field(2, 2)
        return slot.get(action) if isinstance(slot, dict) else None
    if options == ReportingOptions.OPCODE_OR_SERVICE_ACTION:
        if isinstance(slot, dict):
            return slot.get(action)
        return slot if action == 0 else None
    raise invalid_cdb_field(2, 2)
