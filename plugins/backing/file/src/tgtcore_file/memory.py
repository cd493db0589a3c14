"""The store ``memory``: content that is gone when the store is closed."""

import errno
from collections.abc import Iterator
from threading import Lock
from typing import NamedTuple

from tgtcore import Buffer, Concurrency, Extent, Store
from tgtcore_file.options import MemoryOptions

CHUNK_BYTES = 64 * 1024
"""Memory is taken, and given back, in this unit."""

_EXTENTS_MAX = 1024


class _Piece(NamedTuple):
    """The part of a range that lies in one chunk."""

    chunk: int
    start: int
    stop: int


class MemoryStore(Store):
    """Chunks that exist once they are written.

    A byte that was never written takes no memory; one byte written takes a whole chunk, until all of it is unmapped.
    """

    __slots__ = ("_changing", "_chunks", "_limit", "size_bytes")

    Options = MemoryOptions
    concurrency = Concurrency.PARALLEL

    def __init__(self, options: MemoryOptions) -> None:
        self.size_bytes = options.size
        self._chunks: dict[int, bytearray] = {}
        self._limit = options.limit
        self._changing = Lock()

    def read(self, offset: int, length: int) -> Buffer:
        """As in the contract."""
        return b"".join(self._content(piece) for piece in _pieces(offset, length))

    def read_nowait(self, offset: int, length: int) -> Buffer:
        """Always at hand."""
        chunk, start = divmod(offset, CHUNK_BYTES)
        if start + length <= CHUNK_BYTES:
            return self._content(_Piece(chunk, start, start + length))
        return self.read(offset, length)

    def _content(self, piece: _Piece) -> Buffer:
        content = self._chunks.get(piece.chunk)
        return content[piece.start : piece.stop] if content else bytes(piece.stop - piece.start)

    def write(self, offset: int, data: Buffer) -> None:
        """As in the contract.

        :raises OSError: ENOSPC, the limit is reached; nothing was written then.
        """
        with self._changing:
            self._write(offset, data)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """Done at once, unless another thread is at it."""
        if not self._changing.acquire(blocking=False):
            return False
        try:
            self._write(offset, data)
        finally:
            self._changing.release()
        return True

    def _write(self, offset: int, data: Buffer) -> None:
        pieces = list(_pieces(offset, len(data)))
        rest = memoryview(data)
        self._allocate(pieces)
        for chunk, start, stop in pieces:
            self._chunks[chunk][start:stop] = rest[: stop - start]
            rest = rest[stop - start :]

    def _allocate(self, pieces: list[_Piece]) -> None:
        missing = [piece.chunk for piece in pieces if piece.chunk not in self._chunks]
        if self._limit is not None and (len(self._chunks) + len(missing)) * CHUNK_BYTES > self._limit:
            raise OSError(errno.ENOSPC, f"the memory store has reached its limit of {self._limit} bytes")
        for chunk in missing:
            self._chunks[chunk] = bytearray(CHUNK_BYTES)

    write_through = write

    def flush(self) -> None:
        """Nothing to do: this content is not made to last."""

    def unmap(self, offset: int, length: int) -> None:
        """Whole chunks go away, parts of chunks are zeroed."""
        with self._changing:
            self._forget(offset, length)

    def _forget(self, offset: int, length: int) -> None:
        for chunk, start, stop in self._written(offset, length):
            if stop - start == CHUNK_BYTES:
                del self._chunks[chunk]
            else:
                self._chunks[chunk][start:stop] = bytes(stop - start)

    def write_zeroes(self, offset: int, length: int) -> None:
        """Zero a range and take the memory for it.

        :raises OSError: ENOSPC, the limit is reached; nothing was zeroed then.
        """
        pieces = list(_pieces(offset, length))
        with self._changing:
            self._allocate(pieces)
            for chunk, start, stop in pieces:
                self._chunks[chunk][start:stop] = bytes(stop - start)

    def extents(self, offset: int, length: int) -> list[Extent]:
        """Chunks that exist, and the gaps between them."""
        with self._changing:
            written = self._written(offset, length)
        found: list[Extent] = []
        end = offset + length
        for chunk, start, stop in written:
            first, beyond = chunk * CHUNK_BYTES + start, chunk * CHUNK_BYTES + stop
            if found and first == offset:
                found[-1] = Extent(found[-1].offset, beyond - found[-1].offset, True)
            elif len(found) + 2 > _EXTENTS_MAX:
                return found
            else:
                found += [Extent(offset, first - offset, False)] * (first > offset)
                found.append(Extent(first, beyond - first, True))
            offset = beyond
        if offset < end:
            found.append(Extent(offset, end - offset, False))
        return found

    def resize(self, size_bytes: int) -> None:
        """As in the contract; what is cut off is forgotten."""
        with self._changing:
            if size_bytes < self.size_bytes:
                chunks = -(-self.size_bytes // CHUNK_BYTES)
                self._forget(size_bytes, chunks * CHUNK_BYTES - size_bytes)
            self.size_bytes = size_bytes

    def _written(self, offset: int, length: int) -> list[_Piece]:
        """The parts of a range that lie in chunks that exist, in order."""
        chunks = range(offset // CHUNK_BYTES, -(-(offset + length) // CHUNK_BYTES))
        if len(chunks) <= len(self._chunks):
            there = [chunk for chunk in chunks if chunk in self._chunks]
        else:
            there = sorted(chunk for chunk in self._chunks if chunk in chunks)
        return [_clipped(chunk, offset, offset + length) for chunk in there]

    def close(self) -> None:
        """Give the memory back."""
        self._chunks.clear()


def _pieces(offset: int, length: int) -> Iterator[_Piece]:
    for chunk in range(offset // CHUNK_BYTES, -(-(offset + length) // CHUNK_BYTES)):
        yield _clipped(chunk, offset, offset + length)


def _clipped(chunk: int, start: int, stop: int) -> _Piece:
    base = chunk * CHUNK_BYTES
    return _Piece(chunk, max(start - base, 0), min(stop - base, CHUNK_BYTES))
