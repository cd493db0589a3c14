"""COMPARE AND WRITE and ORWRITE (SBC-4 5.3, 5.9): read-modify-write that no other command comes between."""

from typing import Any

from tgtcore import PENDING, Buffer, ReservationClass, Task, command, invalid_cdb_field
from tgtcore_disk.compare import first_difference, miscompare
from tgtcore_disk.fields import Fields, length_byte
from tgtcore_disk.transfer import FUA, TransferCommands

_COMPARE_AND_WRITE_BLOCKS_MAX = 255
"""What NUMBER OF LOGICAL BLOCKS has room for."""

_NUMBER_OF_BLOCKS_BYTE = 13


class AtomicCommands(TransferCommands):
    """COMPARE AND WRITE and ORWRITE (16)."""

    @property
    def compare_and_write_max(self) -> int:
        """MAXIMUM COMPARE AND WRITE LENGTH, which may not exceed the maximum transfer length (SBC-4 6.6.4)."""
        return min(_COMPARE_AND_WRITE_BLOCKS_MAX, self.max_blocks)

    def wants_compare_and_write(self, task: Task) -> int:
        """Check the CDB; the data-out holds the compared blocks and then the written ones."""
        lba, blocks, _ = task.arguments = compare_and_write_fields(task.cdb)
        self.check_range(lba, blocks)
        if blocks > self.compare_and_write_max:
            raise invalid_cdb_field(_NUMBER_OF_BLOCKS_BYTE)
        self.check_writable()
        return self.exactly(task, blocks << self.shift << 1, _NUMBER_OF_BLOCKS_BYTE)

    @command(
        0x89, "89 18 FF FF FF FF FF FF FF FF 00 00 00 FF 3F 00",
        reservation=ReservationClass.WRITE, wants=wants_compare_and_write,
    )  # fmt: skip
    def compare_and_write(self, task: Task) -> Any:
        """COMPARE AND WRITE: all blocks or none."""
        lba, blocks, flags = task.arguments
        offset, length = lba << self.shift, blocks << self.shift
        data = memoryview(task.data_out or b"")
        if not length:
            return None
        self.check_write(lba, blocks)
        if not self.ranges.admit(task, offset, offset + length, alone=True):
            return PENDING
        durable = bool(flags & FUA) or self.write_through
        expected, written = data[:length], data[length:]
        found = self._medium.read_nowait(offset, length)
        if found is None:
            work = self._compare_and_write, offset, expected, written, durable
            return self.slowly(task, offset, length, *work, alone=True)
        _compare(expected, found)
        if not durable and self._write_nowait(offset, written):
            return None
        # compared once and not again: some of the data may have been written already
        return self.slowly(task, offset, length, self._write, offset, written, durable, alone=True)

    def _compare_and_write(self, offset: int, expected: memoryview, written: memoryview, durable: bool) -> None:
        _compare(expected, self.store.read(offset, len(expected)))
        self._write(offset, written, durable)

    def wants_orwrite(self, task: Task) -> int:
        """Check the CDB; how many bytes of data-out it asks for."""
        return self.exactly(task, self.wants_write(task), length_byte(task.cdb[0]))

    @command(
        0x8B, "8B 18 FF FF FF FF FF FF FF FF FF FF FF FF 3F 00",
        reservation=ReservationClass.WRITE, wants=wants_orwrite,
    )  # fmt: skip
    def orwrite(self, task: Task) -> Any:
        """ORWRITE: each bit of the blocks becomes the OR of itself and the data-out's."""
        lba, blocks, flags = task.arguments
        offset, length = lba << self.shift, blocks << self.shift
        data = memoryview(task.data_out or b"")
        if not length:
            return None
        self.check_write(lba, blocks)
        if not self.ranges.admit(task, offset, offset + length, alone=True):
            return PENDING
        durable = bool(flags & FUA) or self.write_through
        return self.slowly(task, offset, length, self._orwrite, offset, data, durable, alone=True)

    def _orwrite(self, offset: int, data: memoryview, durable: bool) -> None:
        found = int.from_bytes(self.store.read(offset, len(data)), "big")
        self._write(offset, (found | int.from_bytes(data, "big")).to_bytes(len(data), "big"), durable)

    def _write(self, offset: int, data: Buffer, durable: bool) -> None:
        if durable:
            self.store.write_through(offset, data)
        else:
            self.store.write(offset, data)


def compare_and_write_fields(cdb: bytes) -> Fields:
    """COMPARE AND WRITE has one byte for the number of blocks, where other CDBs of its length have four before it."""
    return int.from_bytes(cdb[2:10], "big"), cdb[_NUMBER_OF_BLOCKS_BYTE], cdb[1]


def _compare(expected: Buffer, found: Buffer) -> None:
    difference = first_difference(expected, found)
    if difference is not None:
        raise miscompare(difference)
