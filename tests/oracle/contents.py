"""What each block of a region holds, or may hold after a command that ended without an answer."""

import struct

from oracle.commands import BLOCK_BYTES

_STAMP = struct.Struct(">QQ")
_REPEAT = BLOCK_BYTES // _STAMP.size


def block(lba: int, generation: int) -> bytes:
    """A block that says where it belongs and which write it comes from; zeroes before the first."""
    return _STAMP.pack(lba, generation) * _REPEAT if generation else bytes(BLOCK_BYTES)


class Contents:
    """The blocks from `first` on that one writer alone writes.

    A write that was answered GOOD is there as a whole.  One that ended without an answer, or was aborted, may be there in each
    of its blocks or not; once a block was read, it stays as it was found.
    """

    def __init__(self, first: int, blocks: int) -> None:
        self.first = first
        self.blocks = blocks
        self._generations = [0] * blocks
        self._perhaps: dict[int, set[int]] = {}

    def data(self, at: int, count: int, generation: int) -> bytes:
        """The data of a write; positions are relative to the region."""
        return b"".join(block(self.first + number, generation) for number in range(at, at + count))

    def written(self, at: int, count: int, generation: int) -> None:
        """A write was answered GOOD."""
        for number in range(at, at + count):
            self._generations[number] = generation
            self._perhaps.pop(number, None)

    def perhaps_written(self, at: int, count: int, generation: int) -> None:
        """A write has ended, nobody knows how."""
        for number in range(at, at + count):
            self._perhaps.setdefault(number, {self._generations[number]}).add(generation)

    def check(self, at: int, data: bytes) -> str | None:
        """Compare what was read; the first difference in words."""
        for index in range(len(data) // BLOCK_BYTES):
            found = data[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES]
            number = at + index
            allowed = self._perhaps.pop(number, None) or {self._generations[number]}
            matching = [generation for generation in allowed if found == block(self.first + number, generation)]
            if not matching:
                lba, generation = _STAMP.unpack_from(found)
                return (
                    f"block {self.first + number}: expected generation {allowed}, "
                    f"found generation {generation} of block {lba}, whole: {found == block(lba, generation)}"
                )
            self._generations[number] = matching[0]
        return None
