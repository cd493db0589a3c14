"""PRE-FETCH and SYNCHRONIZE CACHE (SBC-4 5.10, 5.11, 5.33, 5.34)."""

from typing import Any

from tgtcore import ReservationClass, Task, command, out_of_range
from tgtcore_disk.fields import fields_of
from tgtcore_disk.medium import Medium

_PREFETCH_BYTES_MAX = 8 * 1024 * 1024


class CacheCommands(Medium):
    """PRE-FETCH (10), (16) and SYNCHRONIZE CACHE (10), (16)."""

    def _range(self, task: Task) -> tuple[int, int]:
        """Offset and length that the CDB names; zero blocks mean the rest of the medium."""
        lba, blocks, _ = fields_of[task.cdb[0]](task.cdb)
        self.check_ready()
        if lba + blocks > self.blocks:
            raise out_of_range()
        return lba << self.shift, (blocks or self.blocks - lba) << self.shift

    @command(0x35, "35 06 FF FF FF FF 3F FF FF 00", reservation=ReservationClass.WRITE, timeout_s=60)
    @command(0x91, "91 06 FF FF FF FF FF FF FF FF FF FF FF FF 3F 00", reservation=ReservationClass.WRITE, timeout_s=60)
    def synchronize_cache(self, task: Task) -> Any:
        """SYNCHRONIZE CACHE: everything is made durable, which includes the range, and is more than SYNC_NV (SBC-3) asks for.

        IMMED is honoured in the safe direction: the command ends when the work is done, so that its status tells how it went.
        """
        self._range(task)
        return task.offload(self.store.flush)

    @command(0x34, "34 02 FF FF FF FF 3F FF FF 00", reservation=ReservationClass.READ)
    @command(0x90, "90 02 FF FF FF FF FF FF FF FF FF FF FF FF 3F 00", reservation=ReservationClass.READ)
    def pre_fetch(self, task: Task) -> Any:
        """PRE-FETCH: read ahead what fits; GOOD (not CONDITION MET) promises nothing about the cache."""
        offset, length = self._range(task)
        return self.in_slices(task, self.read_all(task, offset, min(length, _PREFETCH_BYTES_MAX)))
