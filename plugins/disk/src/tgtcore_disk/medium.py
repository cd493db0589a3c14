"""The medium of a disk: its blocks, what keeps commands from them, and how slow work is started."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from time import monotonic
from typing import Any

from pydantic import BaseModel

from tgtcore import (
    PENDING,
    CheckCondition,
    ConfigError,
    Features,
    LogicalUnit,
    OpenStore,
    SharedCommands,
    Task,
    invalid_cdb_field,
    out_of_range,
    write_protected,
)
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore_disk.options import DiskOptions
from tgtcore_disk.ranges import Ranges

Obstacle = tuple[SenseKey, tuple[int, int]]

OFFLINE: Obstacle = (SenseKey.NOT_READY, asc.LOGICAL_UNIT_NOT_READY_OFFLINE)
EJECTED: Obstacle = (SenseKey.NOT_READY, asc.MEDIUM_NOT_PRESENT)
FORMATTING: Obstacle = (SenseKey.NOT_READY, asc.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS)
STOPPED: Obstacle = (SenseKey.NOT_READY, asc.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED)

PIECE_BYTES = 1024 * 1024
"""Long operations work in pieces of this size, so that they can be aborted and use little memory."""

_SLICE_S = 0.02
"""After so long a worker puts a long operation aside for the jobs that wait behind it, other initiators' perhaps."""

Steps = Iterator[None]
"""A long operation: it does one piece of its work at a time, and may block."""

_ZERO_BYTES = 64 * 1024 * 1024
"""As PIECE_BYTES, for unmapping and zeroing, which most stores do at once."""

_PHYSICAL_BYTES_MAX = 4096
_UNMAP_GRANULARITY_BYTES_MAX = 1024 * 1024


class Medium(SharedCommands):
    """The part of a disk that all its commands stand on.  Positions and lengths in bytes unless named otherwise."""

    __slots__ = (
        "_medium",
        "blocks",
        "blocks_read",
        "blocks_written",
        "contended",
        "max_blocks",
        "obstacles",
        "reads",
        "shift",
        "writes",
    )

    code = 0x00
    Options = DiskOptions
    options: DiskOptions
    store: OpenStore

    def __init__(self, lu: LogicalUnit, store: OpenStore | None, options: BaseModel) -> None:
        if store is None:
            raise ConfigError("a disk needs a store")
        super().__init__(lu, store, options)
        self.block_bytes = self.options.block_size
        self._check_store(store)
        self.physical_bytes = self.options.physical_block_size or self._preferred(_PHYSICAL_BYTES_MAX)
        self.unmap_bytes = self._preferred(_UNMAP_GRANULARITY_BYTES_MAX)
        can_unmap = Features.UNMAP in store.features
        self.thin = can_unmap if self.options.thin is None else self.options.thin
        if self.thin and not can_unmap and store.writable:
            raise ConfigError(
                "thin = true, but its store can't give space back; expected thin = false, or another store"
            )
        self.read_only = not store.writable
        self.software_write_protected = False
        self.write_through = not self.options.write_cache
        self.ranges = Ranges(self._again, self._contention)
        # Every transfer touches these, and what TransferCommands begins with, so they are side by side.
        self.contended = False
        """Whether a command that is alone in its range, or waits for that, may be in the way of another one."""
        self.obstacles: tuple[Obstacle, ...] = ()
        """Why the medium can't be accessed, the first one counts; empty: it can."""
        self.shift = self.block_bytes.bit_length() - 1
        self.max_blocks = _same(self.options.max_transfer_bytes >> self.shift)
        self.blocks = 0
        self.capacity_changed()

    def _check_store(self, store: OpenStore) -> None:
        if self.block_bytes % store.store.block_bytes:
            raise ConfigError(
                f"block_size is {self.block_bytes}, expected a multiple of the {store.store.block_bytes} bytes that its store "
                "works in"
            )
        self.check_size(store.size_bytes)

    def check_size(self, size_bytes: int) -> None:
        """Refuse a size that the disk can't have.

        :raises ConfigError: not a whole number of blocks, or none.
        """
        if size_bytes < self.block_bytes or size_bytes % self.block_bytes:
            raise ConfigError(f"its size is {size_bytes} bytes, expected a multiple of block_size ({self.block_bytes})")

    def _preferred(self, at_most: int) -> int:
        return max(self.block_bytes, min(self.store.store.preferred_bytes, at_most))

    def capacity_changed(self) -> None:
        """The store may have another size now."""
        self._use(self.store.size_bytes)

    def capacity_shrinking(self, size_bytes: int) -> None:
        """Blocks that the store is about to lose are out of range from now on."""
        self._use(size_bytes)

    def _use(self, size_bytes: int) -> None:
        self.blocks = _same(size_bytes >> self.shift)

    @property
    def size_bytes(self) -> int:
        """Size of the medium, without what is left of the store behind the last block."""
        return self.blocks << self.shift

    @property
    def tells_space(self) -> bool:
        """Whether it is thin and its store can tell how much space is left."""
        needed = Features.UNMAP | Features.SPACE
        return self.store.features & needed == needed and self.options.thin is not False

    @property
    def write_protected(self) -> bool:
        """Whether writes are refused."""
        return self.read_only or self.software_write_protected

    # ---- obstacles ------------------------------------------------------------------------------------------------

    def check_ready(self) -> None:
        """Refuse while the medium can't be accessed."""
        if self.obstacles:
            raise CheckCondition(*self.obstacles[0])

    def obstruct(self, obstacle: Obstacle) -> None:
        """From now on commands that access the medium are refused for this reason."""
        if obstacle not in self.obstacles:
            self.obstacles = tuple(sorted((*self.obstacles, obstacle), key=_PRECEDENCE.index))

    def clear(self, obstacle: Obstacle) -> None:
        """This reason is gone."""
        self.obstacles = tuple(other for other in self.obstacles if other != obstacle)

    def online_changed(self) -> None:
        """The logical unit was taken offline or back online."""
        if self.lu.online:
            self.clear(OFFLINE)
        else:
            self.obstruct(OFFLINE)

    def check_range(self, lba: int, blocks: int) -> None:
        """Refuse an access to blocks that can't be accessed.

        :raises CheckCondition: NOT READY or LOGICAL BLOCK ADDRESS OUT OF RANGE.
        """
        self.check_ready()
        if lba + blocks > self.blocks:
            raise out_of_range()

    def check_writable(self) -> None:
        """Refuse a write to a protected medium, or to none.

        :raises CheckCondition: NOT READY or DATA PROTECT.
        """
        self.check_ready()
        if self.read_only or self.software_write_protected:
            raise write_protected()

    def check_write(self, lba: int, blocks: int) -> None:
        """Refuse a write to blocks that can't be accessed, or to a protected medium.

        :raises CheckCondition: NOT READY, LOGICAL BLOCK ADDRESS OUT OF RANGE or DATA PROTECT.
        """
        self.check_range(lba, blocks)
        self.check_writable()

    def exactly(self, task: Task, wanted: int, field: int) -> int:
        """How many bytes of data-out a command asks for that makes no sense with less or more of them.

        :param field: the byte of the CDB that the length comes from.
        :raises CheckCondition: the initiator sends another number.
        """
        if task.expected_out != wanted:
            raise invalid_cdb_field(field)
        return wanted

    # ---- slow work --------------------------------------------------------------------------------------------------

    def slowly(
        self, task: Task, offset: int, length: int, work: Callable[..., Any], *args: Any, alone: bool = False
    ) -> Any:
        """Run ``work(*args)`` on a worker and end the task with it; the range is in use until then."""
        self.ranges.hold(task, offset, offset + length, alone=alone)
        return task.offload(work, *args)

    def gradually(self, task: Task, offset: int, length: int, steps: Steps, *, alone: bool = False) -> Any:
        """As :meth:`slowly`, for work that may take long: no worker is kept from the jobs of others for all that time."""
        self.ranges.hold(task, offset, offset + length, alone=alone)
        return self.in_slices(task, steps)

    def in_slices(self, task: Task, steps: Steps) -> Any:
        """As :meth:`gradually`, for work that must not keep others from the range."""

        def done(unfinished: Any, error: BaseException | None) -> None:
            if error is not None:
                self.lu.fail(task, error)
            elif unfinished:
                self.lu.run(_slice, (steps,), done)
            else:
                task.complete()

        self.lu.run(_slice, (steps,), done)
        return PENDING

    def _contention(self, contended: bool) -> None:
        self.contended = contended

    def _again(self, task: Task) -> None:
        if task.abort_status is not None:
            task.finish(0, b"")
        else:
            task.run_again()

    def pieces(self, task: Task, offset: int, length: int, at_most: int = PIECE_BYTES) -> Iterator[tuple[int, int]]:
        """Cut a range into pieces for one store call each; ends early when the task was aborted."""
        while length and task.abort_status is None:
            piece = min(length, at_most)
            yield offset, piece
            offset += piece
            length -= piece

    def read_all(self, task: Task, offset: int, length: int) -> Steps:
        """Read a range, for nobody."""
        for start, piece in self.pieces(task, offset, length):
            self.store.read(start, piece)
            yield

    def zero(self, task: Task, offset: int, length: int, *, unmap: bool) -> Steps:
        """Make a range read as zeroes, giving its space back or keeping it."""
        work = self.store.unmap if unmap else self.store.write_zeroes
        for start, piece in self.pieces(task, offset, length, _ZERO_BYTES):
            work(start, piece)
            yield


@lru_cache(maxsize=1024)
def _same(number: int) -> int:
    """One object for equal numbers: one for each of thousands of disks would be a cache miss more per command."""
    return number


def _slice(steps: Steps) -> bool:
    """Go on for a while; whether there is more to do."""
    end = monotonic() + _SLICE_S
    return any(monotonic() > end for _ in steps)


_PRECEDENCE = [OFFLINE, EJECTED, FORMATTING, STOPPED]
