"""READ DEFECT DATA (SBC-4 5.18, 5.19): a disk on a store has no defects of its own to report."""

import struct

from tgtcore import ReservationClass, Task, command, invalid_cdb_field
from tgtcore_disk.medium import Medium

_HEADER_10 = struct.Struct(">xBH")
_HEADER_12 = struct.Struct(">xBxxI")
_FORMAT_10, _FORMAT_12 = 2, 1
"""The byte of the CDB with REQ_PLIST, REQ_GLIST and the defect list format, which is also byte 1 of both headers."""

_LISTS_AND_FORMAT, _FORMAT = 0x1F, 0x07
_RESERVED_FORMAT = 7


class DefectCommands(Medium):
    """READ DEFECT DATA (10) and (12), with lists that are valid and empty."""

    @command(0x37, "37 00 1F 00 00 00 00 FF FF 00", reservation=ReservationClass.READ)
    def read_defect_data_10(self, task: Task) -> None:
        """READ DEFECT DATA (10)."""
        self._answer(task, _HEADER_10, _FORMAT_10, int.from_bytes(task.cdb[7:9], "big"))

    @command(0xB7, "B7 1F FF FF FF FF FF FF FF FF 00 00", reservation=ReservationClass.READ)
    def read_defect_data_12(self, task: Task) -> None:
        """READ DEFECT DATA (12); from any index on the list is empty."""
        self._answer(task, _HEADER_12, _FORMAT_12, int.from_bytes(task.cdb[6:10], "big"))

    def _answer(self, task: Task, header: struct.Struct, byte: int, room: int) -> None:
        """The lists that were asked for, in any format: without descriptors they all look the same."""
        self.check_ready()
        asked = task.cdb[byte] & _LISTS_AND_FORMAT
        if asked & _FORMAT == _RESERVED_FORMAT:
            raise invalid_cdb_field(byte, 2)
        task.data_in = header.pack(asked, 0)[:room]
