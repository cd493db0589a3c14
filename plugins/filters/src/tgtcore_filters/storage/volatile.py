"""What the filters that keep writes in memory have in common: how they read, and who may use what.

Two locks, always in this order:

* ``writing``, for who changes the base: one at a time, so that an older write never lands on a newer one.  Held during calls of the
  base, so only on worker threads.
* ``changing``, for who looks at or changes what is in memory: held for moments.  On the loop's thread nobody waits for it.

A write goes from memory to the base first, and leaves memory then.  So a read that looks into memory first, and at the base then,
sees each write in one of the two at least.
"""

from abc import abstractmethod
from collections.abc import Iterable
from threading import Lock

from pydantic import BaseModel

from tgtcore import Buffer, Extent, Region, Store
from tgtcore_filters.storage.pending import Pending, Piece, joined, patched
from tgtcore_filters.storage.through import Through


class Volatile(Through):
    """Keeps writes in memory until they are flushed, or until there is no more room for them."""

    def __init__(self, base: Store, options: BaseModel) -> None:
        super().__init__(base, options)
        self.writing = Lock()
        self.changing = Lock()
        self.pending = Pending()

    @abstractmethod
    def write_back(self) -> None:
        """Write everything to the base that is in memory now, oldest first where it matters; needs ``writing``."""

    def flush(self) -> None:
        """As in the contract; what fails stays in memory, and is tried again by the next one."""
        with self.writing:
            self.write_back()
            self.base.flush()

    def forget(self, offset: int, length: int) -> None:
        """Have nothing in memory for a range any more: the base has something newer.  Needs ``writing`` and ``changing``."""
        self.pending.cut(offset, length)

    def forget_all(self) -> None:
        """Have nothing in memory any more, written back or not.  Needs both locks too."""
        self.pending.clear()

    def base_changed(self) -> None:
        """As in the contract: what is in memory belongs to what is gone."""
        with self.writing, self.changing:
            self.forget_all()

    def write_through(self, offset: int, data: Buffer) -> None:
        """As in the contract: only these bytes, other writes stay where they are."""
        with self.writing:
            self.base.write_through(offset, data)
            with self.changing:
                self.forget(offset, len(data))

    def resize(self, size_bytes: int) -> None:
        """As in the contract, and durable as the base says."""
        with self.writing:
            cut_off = self.size_bytes - size_bytes
            self.base.resize(size_bytes)
            if cut_off > 0:
                with self.changing:
                    self.forget(size_bytes, cut_off)

    def read(self, offset: int, length: int) -> Buffer:
        """As in the contract."""
        with self.changing:
            pieces = self.pending.over(offset, length)
        if _cover(pieces, length):
            return joined(pieces)
        return patched(self.base.read(offset, length), offset, pieces)

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """As in the contract."""
        pieces = self._over_nowait(offset, length)
        if pieces is None:
            return None
        if _cover(pieces, length):
            return joined(pieces)
        below = self.base.read_nowait(offset, length)
        return None if below is None else patched(below, offset, pieces)

    def region(self, offset: int, length: int) -> Region | None:
        """That of the base, if it has all of the range."""
        pieces = self._over_nowait(offset, length)
        return self.base.region(offset, length) if pieces == [] else None

    def _over_nowait(self, offset: int, length: int) -> list[Piece] | None:
        if not self.changing.acquire(blocking=False):
            return None
        try:
            return self.pending.over(offset, length)
        finally:
            self.changing.release()

    def extents(self, offset: int, length: int) -> Iterable[Extent]:
        """As the base will have them."""
        with self.changing:
            pieces = self.pending.over(offset, length)
        found: list[Extent] = []
        end = offset + length
        for piece in [*pieces, Piece(end, 0, None, None)]:
            if offset < piece.offset:
                found += self.base.extents(offset, piece.offset - offset)
                if found[-1].offset + found[-1].length < piece.offset:
                    return found
            if piece.length:
                found.append(Extent(piece.offset, piece.length, piece.allocated))
            offset = piece.end
        return found

    def close(self) -> None:
        """As in the contract: a store that is closed has its writes, flushed or not."""
        with self.writing:
            self.write_back()


def _cover(pieces: list[Piece], length: int) -> bool:
    return sum(piece.length for piece in pieces) == length
