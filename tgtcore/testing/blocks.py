"""A device type for tests of what stands before one: some blocks, with as few commands as possible."""

from typing import Any

from tgtcore.device import SharedCommands, command, out_of_range
from tgtcore.reservations import ReservationClass
from tgtcore.scsi.cdb import cdb_bytes
from tgtcore.task import Task

BLOCK_BYTES = 512


class BlockDevice(SharedCommands):
    """READ (10) is done at once, READ (16), WRITE (10) and SYNCHRONIZE CACHE (10) on a worker."""

    code = 0x00
    block_bytes = BLOCK_BYTES

    def addressed(self, task: Task) -> tuple[range, ...]:
        """The blocks of READ and WRITE."""
        if task.cdb[0] not in (0x28, 0x2A, 0x88):
            return ()
        lba, blocks = _fields(task.cdb)
        return (range(lba, lba + blocks),)

    def _place(self, task: Task) -> tuple[int, int]:
        """Offset and length.

        :raises CheckCondition: they do not lie in the store.
        """
        assert self.store is not None
        lba, blocks = _fields(task.cdb)
        if (lba + blocks) * BLOCK_BYTES > self.store.size_bytes:
            raise out_of_range()
        return lba * BLOCK_BYTES, blocks * BLOCK_BYTES

    @command(0x28, "28 00 FF FF FF FF 00 FF FF 00", reservation=ReservationClass.READ)
    def read_10(self, task: Task) -> None:
        """READ (10)."""
        assert self.store is not None
        task.data_in = self.store.store.read(*self._place(task))

    @command(0x88, "88 00 FF FF FF FF FF FF FF FF FF FF FF FF 00 00", reservation=ReservationClass.READ)
    def read_16(self, task: Task) -> Any:
        """READ (16)."""
        assert self.store is not None
        return task.offload(self.store.read, *self._place(task))

    def wants_write(self, task: Task) -> int:
        """How many bytes WRITE (10) asks for."""
        return self._place(task)[1]

    @command(0x2A, "2A 00 FF FF FF FF 00 FF FF 00", reservation=ReservationClass.WRITE, wants=wants_write)
    def write_10(self, task: Task) -> Any:
        """WRITE (10)."""
        assert self.store is not None
        offset, length = self._place(task)
        data = bytes(task.data_out or b"")[:length]
        return task.offload(self.store.write, offset, data) if data else None

    @command(0x35, "35 00 00 00 00 00 00 00 00 00", reservation=ReservationClass.WRITE)
    def synchronize_cache_10(self, task: Task) -> Any:
        """SYNCHRONIZE CACHE (10), of all blocks."""
        assert self.store is not None
        return task.offload(self.store.flush)


def _fields(cdb: bytes) -> tuple[int, int]:
    """First block and number of blocks."""
    if cdb_bytes(cdb) == 16:
        return int.from_bytes(cdb[2:10], "big"), int.from_bytes(cdb[10:14], "big")
    return int.from_bytes(cdb[2:6], "big"), int.from_bytes(cdb[7:9], "big")
