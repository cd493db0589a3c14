"""READ CAPACITY (SBC-4 5.20, 5.21)."""

import struct

from tgtcore import ReservationClass, Task, command
from tgtcore_disk.medium import Medium

_CAPACITY_10 = struct.Struct(">II")
_CAPACITY_16 = struct.Struct(">QIBBH16x")
_LBA_MAX_10 = 0xFFFF_FFFF
_LBPME, _LBPRZ = 0x8000, 0x4000


class CapacityCommands(Medium):
    """READ CAPACITY (10) and (16)."""

    @command(0x25, "25 00 00 00 00 00 00 00 00 00", reservation=ReservationClass.READINESS)
    def read_capacity_10(self, task: Task) -> None:
        """READ CAPACITY (10): FFFFFFFFh when the last address does not fit."""
        self.check_ready()
        task.data_in = _CAPACITY_10.pack(min(self.blocks - 1, _LBA_MAX_10), self.block_bytes)

    @command(
        0x9E,
        "9E 10 00 00 00 00 00 00 00 00 FF FF FF FF 00 00",
        service_action=0x10,
        reservation=ReservationClass.READINESS,
    )
    def read_capacity_16(self, task: Task) -> None:
        """READ CAPACITY (16)."""
        self.check_ready()
        exponent = (self.physical_bytes // self.block_bytes).bit_length() - 1
        provisioning = _LBPME | _LBPRZ if self.thin else 0
        data = _CAPACITY_16.pack(self.blocks - 1, self.block_bytes, 0, exponent, provisioning)
        task.data_in = data[: int.from_bytes(task.cdb[10:14], "big")]
