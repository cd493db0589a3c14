"""WRITE SAME (SBC-4 5.52, 5.53): one block everywhere, or no block at all."""

from typing import Any

from tgtcore import PENDING, ReservationClass, Task, command, invalid_cdb_field
from tgtcore_disk.fields import fields_of, length_byte
from tgtcore_disk.medium import PIECE_BYTES, Medium, Steps

WRITE_SAME_BLOCKS_MAX = 32 * 1024
"""Reported as MAXIMUM WRITE SAME LENGTH: what a slow store can still write well within the command timeout."""

_NDOB, _UNMAP, _ANCHOR = 0x01, 0x08, 0x10


class WriteSameCommands(Medium):
    """WRITE SAME (10) and (16)."""

    def wants_write_same(self, task: Task) -> int:
        """Check the CDB; how many bytes of data-out it asks for."""
        cdb = task.cdb
        lba, blocks, flags = task.arguments = fields_of[cdb[0]](cdb)
        self.check_writable()
        if flags & (_UNMAP | _ANCHOR) and not self.thin:
            raise invalid_cdb_field(1, 3 if flags & _UNMAP else 4)
        if flags & _ANCHOR and not flags & _UNMAP:
            raise invalid_cdb_field(1, 4)
        if not 0 < blocks <= WRITE_SAME_BLOCKS_MAX:  # WSNZ is one: zero does not mean the rest of the medium
            raise invalid_cdb_field(length_byte(cdb[0]))
        self.check_range(lba, blocks)
        return self.exactly(task, 0 if flags & _NDOB else self.block_bytes, length_byte(cdb[0]))

    @command(
        0x41, "41 18 FF FF FF FF 3F FF FF 00", reservation=ReservationClass.WRITE, wants=wants_write_same, timeout_s=120
    )
    @command(
        0x93, "93 19 FF FF FF FF FF FF FF FF FF FF FF FF 3F 00",
        reservation=ReservationClass.WRITE, wants=wants_write_same, timeout_s=120,
    )  # fmt: skip
    def write_same(self, task: Task) -> Any:
        """WRITE SAME.  UNMAP gives space back only where the blocks read as the pattern afterwards, that is for zeroes."""
        lba, blocks, flags = task.arguments
        pattern = bytes(self.block_bytes) if flags & _NDOB else bytes(task.data_out or b"")
        self.check_write(lba, blocks)
        offset, length = lba << self.shift, blocks << self.shift
        if self.contended and not self.ranges.admit(task, offset, offset + length):
            return PENDING
        return self.gradually(task, offset, length, self._fill(task, offset, length, pattern, flags))

    def _fill(self, task: Task, offset: int, length: int, pattern: bytes, flags: int) -> Steps:
        if any(pattern):
            yield from self._write_pattern(task, offset, length, pattern)
        else:
            unmap = flags & _UNMAP and not flags & _ANCHOR
            yield from self.zero(task, offset, length, unmap=bool(unmap))
        if self.write_through:
            self.store.flush()

    def _write_pattern(self, task: Task, offset: int, length: int, pattern: bytes) -> Steps:
        data = memoryview(pattern * (min(length, PIECE_BYTES) >> self.shift))
        for start, piece in self.pieces(task, offset, length):
            self.store.write(start, data[:piece])
            yield
