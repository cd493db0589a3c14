"""The allocator of the data area.  The driver alone decides what is where; the core checks bounds and never allocates."""

_SMALLEST_BYTES = 4096
"""Every piece begins at a multiple of its own size, so at a page: stores may use direct I/O."""


class Area:
    """Pieces of the data area, by sizes that are powers of two.

    Freed pieces are kept as they are: the next command of the same size takes one at once.  They are put together again only when
    there is none that is large enough.

    :param size: bytes to deal out; what is left over from multiples of the smallest piece is not used.
    :param start: where they begin in the data area.
    """

    def __init__(self, size: int, start: int = 0) -> None:
        self._start = start
        self.free_bytes = 0
        """Bytes in free pieces."""
        self._free: dict[int, list[int]] = {}
        self._size = size - size % _SMALLEST_BYTES
        self._largest = _SMALLEST_BYTES
        offset = 0
        while offset < self._size:
            piece = _piece_at(offset, self._size - offset)
            self._largest = max(self._largest, piece)
            self._give(offset, piece)
            offset += piece

    @property
    def largest_bytes(self) -> int:
        """The largest piece that there can be."""
        return self._largest

    def take(self, length: int) -> tuple[int, int] | None:
        """A piece of at least so many bytes, as offset and size; None: there is none now.

        :raises ValueError: there never will be.
        """
        size = max(_SMALLEST_BYTES, 1 << (length - 1).bit_length()) if length else _SMALLEST_BYTES
        pieces = self._free.get(size)
        if pieces:
            self.free_bytes -= size
            return self._start + pieces.pop(), size
        if size > self._largest:
            raise ValueError(f"{length} bytes do not fit into a data area of {self._size} bytes")
        if self.free_bytes < size:
            return None
        offset = self._split(size)
        if offset is None:
            self._join()
            offset = self._split(size)
        if offset is None:
            return None
        self.free_bytes -= size
        return self._start + offset, size

    def give(self, offset: int, size: int) -> None:
        """A piece is free again."""
        self._give(offset - self._start, size)

    def _give(self, offset: int, size: int) -> None:
        self.free_bytes += size
        self._free.setdefault(size, []).append(offset)

    def _split(self, size: int) -> int | None:
        """A piece of exactly this size, made of a larger one where there is no other."""
        larger = size
        while not self._free.get(larger):
            larger *= 2
            if larger > self._largest:
                return None
        offset = self._free[larger].pop()
        while larger > size:
            larger //= 2
            self._free.setdefault(larger, []).append(offset + larger)
        return offset

    def _join(self) -> None:
        """Put neighbours of one size together, from the smallest size up."""
        size = _SMALLEST_BYTES
        while size < self._largest:
            lonely: list[int] = []
            waiting: set[int] = set(self._free.get(size, ()))
            for offset in sorted(waiting):
                if offset not in waiting:
                    continue
                buddy = offset ^ size
                if buddy in waiting:
                    waiting -= {offset, buddy}
                    self._free.setdefault(size * 2, []).append(min(offset, buddy))
                else:
                    lonely.append(offset)
            self._free[size] = lonely
            size *= 2


def _piece_at(offset: int, left: int) -> int:
    """The largest piece that may begin at an offset."""
    aligned = offset & -offset if offset else 1 << left.bit_length()
    while aligned > left:
        aligned //= 2
    return aligned
