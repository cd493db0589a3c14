"""Which blocks of a disk an overlay has, and which are those of the store beneath."""

import mmap
import re
from collections.abc import Iterator
from typing import NamedTuple

BASE, OWN, ZERO = b"\0", b"\1", b"\2"
"""The states of a block: never written, so it is that of the store beneath; in the overlay; all zeroes, and takes no space."""

BLOCKS_MAX = 1 << 26
"""A map takes a byte for each block: at most 64 MiB, of which only the parts that were changed take memory."""

_PIECE_BLOCKS = 1 << 20
_RUN = re.compile(rb"\x00+|\x01+|\x02+")


class Run(NamedTuple):
    """Adjacent blocks of one state."""

    state: bytes
    first: int
    beyond: int


def block_bytes_for(size_bytes: int, least: int) -> int:
    """The size of the blocks of a disk: the smallest power of two of which there are not too many."""
    block_bytes = least
    while -(-size_bytes // block_bytes) > BLOCKS_MAX:
        block_bytes *= 2
    return block_bytes


class BlockMap:
    """The states of the blocks of a disk.

    One thread at a time changes it; others look meanwhile, and see each block as before or as after.

    :param blocks: how many there are; at the beginning all are those of the store beneath.
    """

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks
        self._states = _made(blocks)
        self.own = 0
        """How many blocks are in the overlay."""

    def resize(self, blocks: int) -> None:
        """Have more blocks, which are all zeroes, or less."""
        kept = min(blocks, self._blocks)
        states = _made(blocks)
        for start, stop in _pieces(0, kept):
            piece = self._states[start:stop]
            if piece.strip(BASE):  # what is not touched takes no memory
                states[start:stop] = piece
        for start, stop in _pieces(kept, blocks):
            states[start:stop] = ZERO * (stop - start)
        self.own -= self.count_own(kept, self._blocks)
        self._blocks, self._states = blocks, states

    def states(self, first: int, beyond: int) -> bytes:
        """The states of some blocks, a byte each."""
        return self._states[first:beyond]

    def runs(self, first: int, beyond: int) -> Iterator[Run]:
        """The same as runs, in order; a long one may come in several."""
        for start, stop in _pieces(first, beyond):
            for found in _RUN.finditer(self._states[start:stop]):
                yield Run(found[0][:1], start + found.start(), start + found.end())

    def count_own(self, first: int, beyond: int) -> int:
        """How many of some blocks are in the overlay."""
        return sum(self._states[start:stop].count(OWN) for start, stop in _pieces(first, beyond))

    def set(self, state: bytes, first: int, beyond: int) -> None:
        """Give some blocks a state."""
        own = (beyond - first) * (state == OWN) - self.count_own(first, beyond)
        for start, stop in _pieces(first, beyond):
            self._states[start:stop] = state * (stop - start)
        self.own += own


def _made(blocks: int) -> mmap.mmap:
    return mmap.mmap(-1, max(blocks, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _pieces(first: int, beyond: int) -> Iterator[tuple[int, int]]:
    for start in range(first, beyond, _PIECE_BLOCKS):
        yield start, min(start + _PIECE_BLOCKS, beyond)
