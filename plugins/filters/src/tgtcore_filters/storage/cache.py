"""The filter ``cache``: a write-back cache in memory, as volatile as that of a disk."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from pydantic import Field

from tgtcore import Buffer, Options, Size, Store
from tgtcore_filters.storage.pending import PIECE_COST_BYTES, Piece, joined
from tgtcore_filters.storage.volatile import Volatile

_PIECE_BYTES = 64 * 1024
"""Long writes are kept in pieces: who overwrites a part of one makes us copy its rest."""

_RUN_BYTES = 1024 * 1024
"""Neighbours are written back together, up to this."""


class CacheOptions(Options):
    """Keys of the filter ``cache``."""

    size: Size = Field(16 * 1024 * 1024, ge=1024 * 1024, validate_default=True)


class Cache(Volatile):
    """Acknowledges writes when they are in memory; they are durable when they were flushed, or written through.

    There is nothing in it but writes: what is written back leaves it.
    """

    Options = CacheOptions
    options: CacheOptions

    def __init__(self, base: Store, options: CacheOptions) -> None:
        super().__init__(base, options)
        self._numbers = count()
        self._written_back = 0

    def stand_on(self, base: Store) -> None:
        """As in the contract: all that there was has been flushed."""
        super().stand_on(base)
        self._piece_bytes = max(_PIECE_BYTES, base.block_bytes)

    def write(self, offset: int, data: Buffer) -> None:
        """As in the contract; one that finds no room waits until all has been written back.

        :raises OSError: what the base says to that.
        """
        if self._cost(data) > self.options.size:
            self._write_past(offset, data)
            return
        while True:
            with self.changing:
                if self._take(offset, data):
                    return
            with self.writing:
                self.write_back()

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """Done at once if there is room."""
        if not self.changing.acquire(blocking=False):
            return False
        try:
            return self._take(offset, data)
        finally:
            self.changing.release()

    def _cost(self, data: Buffer) -> int:
        pieces = -(-len(data) // self._piece_bytes) + 2  # what it overwrites may leave two more
        return len(data) + pieces * PIECE_COST_BYTES

    def _take(self, offset: int, data: Buffer) -> bool:
        if self.pending.cost_bytes + self._cost(data) > self.options.size:
            return False
        rest = memoryview(data)
        for start in range(0, len(data), self._piece_bytes):
            piece = bytes(rest[start : start + self._piece_bytes])
            self.pending.put(Piece(offset + start, len(piece), piece, next(self._numbers)))
        return True

    def _write_past(self, offset: int, data: Buffer) -> None:
        with self.writing:
            self.base.write(offset, data)
            with self.changing:
                self.forget(offset, len(data))

    def unmap(self, offset: int, length: int) -> None:
        """As in the contract: not kept in memory."""
        with self.writing:
            self.base.unmap(offset, length)
            with self.changing:
                self.forget(offset, length)

    def write_zeroes(self, offset: int, length: int) -> None:
        """As in the contract: not kept in memory."""
        with self.writing:
            self.base.write_zeroes(offset, length)
            with self.changing:
                self.forget(offset, length)

    def write_back(self) -> None:
        """From the lowest offset to the highest."""
        with self.changing:
            pieces = list(self.pending)
        for run in _runs(pieces):
            data = joined(run)
            self.base.write(run[0].offset, data)
            with self.changing:
                for piece in run:
                    self.pending.drop(piece.offset, piece.length, piece.origin)
                self._written_back += len(data)

    def figures(self) -> dict[str, Any]:
        """What is volatile now."""
        return {"volatile_bytes": self.pending.bytes, "written_back_bytes": self._written_back}


def _runs(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Pieces that follow each other, together."""
    run: list[Piece] = []
    for piece in pieces:
        if run and (piece.offset != run[-1].end or piece.end - run[0].offset > _RUN_BYTES):
            yield run
            run = []
        run.append(piece)
    if run:
        yield run
