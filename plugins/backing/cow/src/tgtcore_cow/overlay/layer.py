"""Reading and writing a disk of which an overlay has what was written, and another store the rest."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock, Thread

from tgtcore import Buffer, Concurrency, Extent, Features, Region, Space, Store, StoreError
from tgtcore_cow.overlay.block_map import BASE, BLOCKS_MAX, OWN, ZERO, BlockMap, Run, block_bytes_for
from tgtcore_cow.overlay.scratch import Scratch

_BLOCK_BYTES_MIN = 4096
_EXTENTS_MAX = 1024
"""In one answer; the caller asks again from where it ends."""

_NOTHING = b""


class Layer(Store):
    """The disk: that of the store beneath, until it is written.

    A block has the same place in the overlay's file as on the disk, so all that there is to know of it is whether it is there.
    Changes are made one at a time; reads go on meanwhile.  What is read from the base never changes, so that can be done before.

    :param base: the store beneath, which is only read.
    :param limit_bytes: most space for blocks; a change that needs more fails with ENOSPC.  None: that of the whole disk.
    :param folder: where the file is; None: in memory.
    :raises StoreError: there can be no such file.
    """

    concurrency = Concurrency.PARALLEL

    def __init__(self, base: Store, limit_bytes: int | None, folder: Path | None) -> None:
        self.block_bytes = base.block_bytes
        self.rotational = base.rotational
        self._beneath = base
        self._beneath_extents = Features.EXTENTS in base.features()
        self._limit_bytes = limit_bytes
        self._folder = folder
        self._changing = Lock()
        self._begin(Scratch(base.size_bytes, folder))

    def _begin(self, scratch: Scratch) -> None:
        """Be what the store beneath is."""
        size_bytes = self._beneath.size_bytes
        self.preferred_bytes = block_bytes_for(size_bytes, max(_BLOCK_BYTES_MIN, self.block_bytes))
        self._scratch = scratch
        self._take_size(size_bytes)
        self._map = BlockMap(self._blocks)

    def _take_size(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._blocks = -(-size_bytes // self.preferred_bytes)
        self.limit_bytes = self._blocks * self.preferred_bytes if self._limit_bytes is None else self._limit_bytes

    def empty(self) -> None:
        """Have no blocks any more, and the size of the store beneath; nothing else is under way.

        :raises StoreError: there can be no file for what will be written; nothing has changed.
        """
        scratch = Scratch(self._beneath.size_bytes, self._folder)
        former = [self._scratch]
        self._begin(scratch)
        _let_go(former)

    def close(self) -> None:
        """Give back what blocks take, before anybody collects what refers to this; what is being sent has the file for itself."""
        former = [self._scratch]
        del self._scratch
        self._map = BlockMap(self._blocks)
        _let_go(former)

    @property
    def used_bytes(self) -> int:
        """The space that blocks take."""
        return self._map.own * self.preferred_bytes

    # ---- reading ----------------------------------------------------------------------------------------------------

    def read(self, offset: int, length: int) -> Buffer:
        """As in the contract."""
        states = self._states(offset, length)
        if not states.strip(BASE):
            return self._beneath.read(offset, length)
        if not states.strip(OWN):
            return self._scratch.read(offset, length)
        return b"".join(
            bytes(count) if run.state == ZERO else self._source(run).read(start, count)
            for run, start, count in self._parts(offset, length)
        )

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """As in the contract."""
        states = self._states(offset, length)
        if not states.strip(BASE):
            return self._beneath.read_nowait(offset, length)
        if not states.strip(OWN):
            return self._scratch.read_nowait(offset, length)
        found: list[Buffer] = []
        for run, start, count in self._parts(offset, length):
            data = bytes(count) if run.state == ZERO else self._source(run).read_nowait(start, count)
            if data is None:
                return None
            found.append(data)
        return b"".join(found)

    def _source(self, run: Run) -> Store | Scratch:
        return self._beneath if run.state == BASE else self._scratch

    def region(self, offset: int, length: int) -> Region | None:
        """As in the contract."""
        states = self._states(offset, length)
        if not states.strip(BASE):
            return self._beneath.region(offset, length)
        if not states.strip(OWN):
            return self._scratch.region(offset, length)
        return None

    def extents(self, offset: int, length: int) -> list[Extent]:
        """As in the contract."""
        found: list[Extent] = []
        for run, start, count in self._parts(offset, length):
            position, end = start, start + count
            if run.state == BASE and self._beneath_extents:
                for extent in self._beneath.extents(start, count):
                    found.append(extent)
                    position = extent.offset + extent.length
            else:
                found.append(Extent(start, count, run.state != ZERO))
                position = end
            if position < end or len(found) >= _EXTENTS_MAX:
                break
        return found

    def _states(self, offset: int, length: int) -> bytes:
        block = self.preferred_bytes
        return self._map.states(offset // block, -(-(offset + length) // block))

    def _parts(self, offset: int, length: int) -> Iterator[tuple[Run, int, int]]:
        """The runs of a range, each with where its part of the range begins and how long that is."""
        block, end = self.preferred_bytes, offset + length
        for run in self._map.runs(offset // block, -(-end // block)):
            start = max(run.first * block, offset)
            yield run, start, min(run.beyond * block, end) - start

    # ---- writing ----------------------------------------------------------------------------------------------------

    def write(self, offset: int, data: Buffer) -> None:
        """As in the contract.

        :raises OSError: ENOSPC, it would take more space than it may, or than there is.
        """
        before, behind = self._around(offset, len(data), self._beneath.read)
        assert before is not None
        assert behind is not None
        with self._changing:
            self._write(offset, data, before, behind)

    write_through = write

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """As in the contract."""
        if not self._scratch.writes_nowait(len(data)):
            return False
        before, behind = self._around(offset, len(data), self._beneath.read_nowait)
        if before is None or behind is None or not self._changing.acquire(blocking=False):
            return False
        try:
            self._write(offset, data, before, behind)
        finally:
            self._changing.release()
        return True

    def _around(
        self, offset: int, length: int, read: Callable[[int, int], Buffer | None]
    ) -> tuple[Buffer | None, Buffer | None]:
        """What the base has around a range, within its first and its last block, as far as these are the base's."""
        block, end = self.preferred_bytes, offset + length
        first, beyond = offset // block * block, min(-(-end // block) * block, self.size_bytes)
        before = read(first, offset - first) if first < offset and self._is_base(first) else _NOTHING
        behind = read(end, beyond - end) if end < beyond and self._is_base(end) else _NOTHING
        return before, behind

    def _is_base(self, offset: int) -> bool:
        return self._states(offset, 1) == BASE

    def _write(self, offset: int, data: Buffer, before: Buffer, behind: Buffer) -> None:
        """Write whole blocks, unless they are there.

        :param before: what is before the data in its first block, if that block was the base's.
        :param behind: what is behind the data in its last block, likewise.
        """
        block, end = self.preferred_bytes, offset + len(data)
        first, beyond = offset // block, -(-end // block)
        self._check_room(first, beyond)
        states = self._map.states(first, beyond)
        start = offset
        parts: list[Buffer] = [data]
        if states[:1] != OWN and first * block < offset:
            start = first * block
            parts.insert(0, before if states[:1] == BASE else bytes(offset - start))
        last = min(beyond * block, self.size_bytes)
        if states[-1:] != OWN and end < last:
            parts.append(behind if states[-1:] == BASE else bytes(last - end))
        try:
            self._scratch.write(start, parts)
        except OSError:
            self._free_all_but_own(first, beyond)
            raise
        if states.strip(OWN):
            self._map.set(OWN, first, beyond)

    def _check_room(self, first: int, beyond: int) -> None:
        missing = beyond - first - self._map.count_own(first, beyond)
        if missing and (self._map.own + missing) * self.preferred_bytes > self.limit_bytes:
            raise OSError(errno.ENOSPC, f"the overlay has reached its limit of {self.limit_bytes} bytes")

    def _free_all_but_own(self, first: int, beyond: int) -> None:
        """Give back what a change that failed has taken."""
        for run in self._map.runs(first, beyond):
            if run.state != OWN:
                block = self.preferred_bytes
                self._scratch.free(run.first * block, (run.beyond - run.first) * block)

    def space(self) -> Space:
        """What blocks take, and what is left of the limit, or in the folder if that is less."""
        used_bytes = self.used_bytes
        left = max(self.limit_bytes - used_bytes, 0)
        free_bytes = self._scratch.free_bytes()
        if free_bytes is None or left <= free_bytes:
            return Space(used_bytes, left, shared=False)
        return Space(used_bytes, free_bytes, shared=True)

    def flush(self) -> None:
        """Nothing to do: what is written is not made to last."""

    # ---- its size ---------------------------------------------------------------------------------------------------

    def resize(self, size_bytes: int) -> None:
        """As in the contract; what was cut off never comes back, not even from the store beneath, before all is forgotten.

        :raises StoreError: it would have too many blocks.
        :raises OSError: there can be no file so long, or no room is left for the block in which the disk ends or ended.
        """
        if size_bytes > BLOCKS_MAX * self.preferred_bytes:
            raise StoreError(
                f"the overlay can't have {size_bytes} bytes; expected at most {BLOCKS_MAX * self.preferred_bytes}, which is "
                f"{BLOCKS_MAX} blocks of {self.preferred_bytes} bytes"
            )
        if size_bytes < self.size_bytes:
            self.unmap(size_bytes, self.size_bytes - size_bytes)
        elif within := self.size_bytes % self.preferred_bytes:
            last = self.size_bytes - within
            if self._is_base(last):  # there is no more of it beneath
                self.write(last, self._beneath.read(last, within))
        with self._changing:
            self._scratch.resize(size_bytes)
            self._take_size(size_bytes)
            self._map.resize(self._blocks)

    # ---- clearing ---------------------------------------------------------------------------------------------------

    def unmap(self, offset: int, length: int) -> None:
        """As in the contract; the store beneath is hidden there."""
        for start, count, blocks in self._edges_and_blocks(offset, length):
            if blocks:
                with self._changing:
                    self._map.set(ZERO, blocks.start, blocks.stop)
                    self._scratch.free(start, count)
            elif self._states(start, 1) != ZERO:
                self.write(start, bytes(count))

    def write_zeroes(self, offset: int, length: int) -> None:
        """As in the contract.

        :raises OSError: ENOSPC, as for a write.
        """
        for start, count, blocks in self._edges_and_blocks(offset, length):
            if blocks:
                with self._changing:
                    self._reserve(start, count, blocks)
            else:
                self.write(start, bytes(count))

    def _reserve(self, offset: int, length: int, blocks: range) -> None:
        self._check_room(blocks.start, blocks.stop)
        try:
            self._scratch.reserve(offset, length)
        except OSError:
            self._free_all_but_own(blocks.start, blocks.stop)
            raise
        self._map.set(OWN, blocks.start, blocks.stop)

    def _edges_and_blocks(self, offset: int, length: int) -> Iterator[tuple[int, int, range]]:
        """The parts of a range, each with the blocks that are all of it: what lies in a first block, whole blocks, and the rest."""
        block, end = self.preferred_bytes, offset + length
        first = min(-(-offset // block) * block, end)
        beyond = end if end == self.size_bytes else max(end // block * block, first)
        none = range(0)
        whole = range(first // block, -(-beyond // block))
        for start, stop, blocks in ((offset, first, none), (first, beyond, whole), (beyond, end, none)):
            if start < stop:
                yield start, stop - start, blocks


def _let_go(former: list[Scratch]) -> None:
    """Giving back gigabytes takes seconds, in which nobody has to wait."""
    try:
        Thread(target=former.clear, name="overlay-emptied", daemon=True).start()
    except RuntimeError:  # there are as many threads as there may be
        former.clear()
