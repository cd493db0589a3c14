"""READ and WRITE in all their lengths (SBC-4 5.15 to 5.18, 5.44 to 5.47): the commands that speed is about."""

from collections.abc import Mapping
from typing import Any

from tgtcore import PENDING, CheckCondition, ReservationClass, Task, command, invalid_cdb_field, out_of_range
from tgtcore_disk.fields import fields_of, length_byte
from tgtcore_disk.medium import Medium

FUA = 0x08 | 0x02
"""FUA, or FUA_NV of SBC-2: a store has no cache that is not volatile, so that bit asks for the medium too."""

_REGION_BYTES_MIN = 32 * 1024
_COUNTERS = ("reads", "writes", "blocks_read", "blocks_written")


class TransferCommands(Medium):
    """READ (6), (10), (12), (16) and WRITE (6), (10), (12), (16)."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._medium = self.store.store
        self.reads = self.blocks_read = 0
        self._write_nowait = self.store.write_nowait
        self.writes = self.blocks_written = 0
        self._region = self.store.region

    def hand_over(self) -> dict[str, Any]:
        """The counters, which never go back."""
        return {**super().hand_over(), "counters": {name: getattr(self, name) for name in _COUNTERS}}

    def take_over(self, state: Mapping[str, Any]) -> None:
        """Count on."""
        super().take_over(state)
        for name in _COUNTERS:
            setattr(self, name, state.get("counters", {}).get(name, 0))

    @command(0x08, "08 1F FF FF FF 00", reservation=ReservationClass.READ)
    @command(0x28, "28 1A FF FF FF FF 3F FF FF 00", reservation=ReservationClass.READ)
    @command(0x88, "88 1A FF FF FF FF FF FF FF FF FF FF FF FF 3F 00", reservation=ReservationClass.READ)
    @command(0xA8, "A8 1A FF FF FF FF FF FF FF FF 3F 00", reservation=ReservationClass.READ)
    def read(self, task: Task) -> Any:
        """READ."""
        cdb = task.cdb
        lba, blocks, flags = fields_of[cdb[0]](cdb)
        if lba + blocks > self.blocks or blocks > self.max_blocks or self.obstacles:
            raise self.refusal(cdb, lba, blocks)
        if not blocks:
            return None
        offset = lba << self.shift
        length = blocks << self.shift
        if self.contended and not self.ranges.admit(task, offset, offset + length):
            return PENDING
        self.reads += 1
        self.blocks_read += blocks
        if flags & FUA:
            return self.slowly(task, offset, length, self._read_durable, offset, length)
        if length >= _REGION_BYTES_MIN and task.accepts_region:
            region = self._region(offset, length)
            if region is not None:
                task.data_in = region
                return None
        data = self._medium.read_nowait(offset, length)
        if data is None:
            return self.slowly(task, offset, length, self.store.read, offset, length)
        task.data_in = data
        return None

    def _read_durable(self, offset: int, length: int) -> Any:
        """FUA: what is read is on the medium (SBC-4 4.15), so what a cache holds goes there first."""
        self.store.flush()
        return self.store.read(offset, length)

    def wants_write(self, task: Task) -> int:
        """Check a WRITE's CDB; how many bytes of data-out it asks for."""
        cdb = task.cdb
        lba, blocks, _ = fields = fields_of[cdb[0]](cdb)
        if lba + blocks > self.blocks or blocks > self.max_blocks or self.obstacles:
            raise self.refusal(cdb, lba, blocks)
        if self.read_only or self.software_write_protected:
            self.check_writable()
        task.arguments = fields
        return blocks << self.shift

    @command(0x0A, "0A 1F FF FF FF 00", reservation=ReservationClass.WRITE, wants=wants_write)
    @command(0x2A, "2A 1A FF FF FF FF 3F FF FF 00", reservation=ReservationClass.WRITE, wants=wants_write)
    @command(
        0x8A, "8A 1A FF FF FF FF FF FF FF FF FF FF FF FF 3F 00", reservation=ReservationClass.WRITE, wants=wants_write
    )
    @command(0xAA, "AA 1A FF FF FF FF FF FF FF FF 3F 00", reservation=ReservationClass.WRITE, wants=wants_write)
    def write(self, task: Task) -> Any:
        """WRITE; of data-out that is too short the whole blocks are written."""
        lba, blocks, flags = task.arguments
        data = task.data_out
        length = blocks << self.shift
        if data is None or len(data) != length:
            data = self.whole_blocks(task, length)
            length = len(data)
        if not length:
            return None
        if lba + blocks > self.blocks or self.obstacles or self.software_write_protected:
            self.check_write(lba, blocks)  # as before, but then the data came, or others had the range
        offset = lba << self.shift
        if self.contended and not self.ranges.admit(task, offset, offset + length):
            return PENDING
        self.writes += 1
        self.blocks_written += length >> self.shift
        if flags & FUA or self.write_through:
            return self.slowly(task, offset, length, self.store.write_through, offset, data)
        if self._write_nowait(offset, data):
            return None
        return self.slowly(task, offset, length, self.store.write, offset, data)

    def whole_blocks(self, task: Task, length: int) -> memoryview:
        """The data-out that can be used: not more than the command wants, and no block in part."""
        data = memoryview(b"" if task.data_out is None else task.data_out)
        return data[: min(length, len(data) >> self.shift << self.shift)]

    def refusal(self, cdb: bytes, lba: int, blocks: int) -> CheckCondition:
        """Why a transfer can't be done."""
        if self.obstacles:
            return CheckCondition(*self.obstacles[0])
        if lba + blocks > self.blocks:
            return out_of_range()
        return invalid_cdb_field(length_byte(cdb[0]))
