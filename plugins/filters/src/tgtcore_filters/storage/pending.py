"""What was written and is not on the base yet: ranges in memory that lie over the base."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from tgtcore import Buffer

PIECE_COST_BYTES = 256
"""What a range takes in memory besides its data, so that many short ones have a bound too."""


class Piece(NamedTuple):
    """A range in memory.

    :param data: its bytes, which never change; None for zeroes.
    :param origin: what put it there.
    :param allocated: whether it takes space on the base when it gets there.
    """

    offset: int
    length: int
    data: Buffer | None
    origin: object
    allocated: bool = True

    @property
    def end(self) -> int:
        """The first byte beyond."""
        return self.offset + self.length

    def part(self, start: int, end: int) -> "Piece":
        """What lies from ``start`` to ``end``, which are clipped; data that is ``bytes`` is copied, of a view it is a view."""
        start, end = max(start, self.offset), min(end, self.end)
        if start == self.offset and end == self.end:
            return self
        data = None if self.data is None else self.data[start - self.offset : end - self.offset]
        return self._replace(offset=start, length=end - start, data=data)


class Pending:
    """Pieces that do not overlap, in order; who uses it from several threads has a lock."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[Piece] = []
        self.bytes = 0
        """Of all pieces."""

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def cost_bytes(self) -> int:
        """What all of it takes in memory, if pieces have data of their own."""
        return self.bytes + len(self._pieces) * PIECE_COST_BYTES

    def put(self, piece: Piece) -> None:
        """Lay a piece over whatever there is."""
        self.cut(piece.offset, piece.length)
        at = bisect_left(self._starts, piece.offset)
        self._starts.insert(at, piece.offset)
        self._pieces.insert(at, piece)
        self.bytes += piece.length

    def cut(self, offset: int, length: int) -> None:
        """Have nothing over a range any more."""
        first, beyond = self._touching(offset, length)
        if first == beyond:
            return
        touched = self._pieces[first:beyond]
        left = [touched[0].part(0, offset)] if touched[0].offset < offset else []
        end = offset + length
        right = [touched[-1].part(end, touched[-1].end)] if touched[-1].end > end else []
        self._pieces[first:beyond] = rest = left + right
        self._starts[first:beyond] = [piece.offset for piece in rest]
        self.bytes += sum(piece.length for piece in rest) - sum(piece.length for piece in touched)

    def clear(self) -> None:
        """Have nothing anywhere any more."""
        self._starts.clear()
        self._pieces.clear()
        self.bytes = 0

    def drop(self, offset: int, length: int, origin: object) -> None:
        """Have nothing over a range any more that an origin has put there."""
        first, beyond = self._touching(offset, length)
        for piece in self._pieces[first:beyond]:
            if piece.origin == origin:
                start = max(piece.offset, offset)
                self.cut(start, min(piece.end, offset + length) - start)

    def over(self, offset: int, length: int) -> list[Piece]:
        """What lies over a range, clipped to it."""
        first, beyond = self._touching(offset, length)
        return [piece.part(offset, offset + length) for piece in self._pieces[first:beyond]]

    def _touching(self, offset: int, length: int) -> tuple[int, int]:
        """From which index to which pieces have a byte in a range."""
        first = bisect_right(self._starts, offset)
        if first and self._pieces[first - 1].end > offset:
            first -= 1
        return first, max(first, bisect_left(self._starts, offset + length))


def joined(pieces: list[Piece]) -> bytes:
    """The bytes of pieces that follow each other."""
    return b"".join(bytes(piece.length) if piece.data is None else piece.data for piece in pieces)


def patched(below: Buffer, offset: int, pieces: list[Piece]) -> Buffer:
    """What is read where pieces lie over something."""
    if not pieces:
        return below
    content = bytearray(below)
    for piece in pieces:
        start = piece.offset - offset
        content[start : start + piece.length] = bytes(piece.length) if piece.data is None else piece.data
    return content
