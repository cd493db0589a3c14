"""FORMAT UNIT (SBC-4 5.5): the medium with all blocks zero."""

from typing import Any

from tgtcore import (
    PENDING,
    ReservationClass,
    Task,
    command,
    invalid_cdb_field,
    invalid_parameter,
    parameter_list_length_error,
    write_protected,
)
from tgtcore_disk.medium import FORMATTING, Medium, Steps

_FORMAT_DATA, _LONG_LIST = 0x10, 0x20
_SHORT_HEADER_BYTES, _LONG_HEADER_BYTES = 4, 8
_IMMED, _FORMAT_OPTIONS_VALID = 0x02, 0x80


class FormatCommands(Medium):
    """FORMAT UNIT without defect lists, protection information or an initialization pattern."""

    def wants_format(self, task: Task) -> int:
        """The parameter list's header, if there is one."""
        self.check_writable()
        flags = task.cdb[1]
        if not flags & _FORMAT_DATA:
            if flags:
                raise invalid_cdb_field(1)
            return 0
        return _LONG_HEADER_BYTES if flags & _LONG_LIST else _SHORT_HEADER_BYTES

    @command(0x04, "04 38 00 00 00 00", reservation=ReservationClass.WRITE, wants=wants_format, timeout_s=3600)
    def format_unit(self, task: Task) -> Any:
        """FORMAT UNIT: give all space back, or zero it when the disk is not thin.

        IMMED is honoured in the safe direction: the command ends when the work is done.  Meanwhile other commands that access the
        medium are answered NOT READY, FORMAT IN PROGRESS.
        """
        _check_header(bytes(task.data_out or b"")[: task.wanted_out], task.wanted_out)
        if self.write_protected:  # it may have become so since, also while others had the medium
            raise write_protected()
        if FORMATTING not in self.obstacles:
            self.check_ready()
            self.obstruct(FORMATTING)
            task.when_ended(lambda: self.clear(FORMATTING))
        if not self.ranges.admit(task, 0, self.size_bytes, alone=True):
            return PENDING
        return self.gradually(task, 0, self.size_bytes, self._format(task), alone=True)

    def _format(self, task: Task) -> Steps:
        yield from self.zero(task, 0, self.size_bytes, unmap=self.thin)
        self.store.flush()


def _check_header(header: bytes, wanted: int) -> None:
    if len(header) < wanted:
        raise parameter_list_length_error()
    if not header:
        return
    if header[0]:
        raise invalid_parameter(0)
    if header[1] & ~(_FORMAT_OPTIONS_VALID | _IMMED):
        raise invalid_parameter(1)
    for at in range(2, wanted):  # protection information exponent and the length of the defect list
        if header[at]:
            raise invalid_parameter(at)
