"""The store ``null``: reads as zeroes, and what is written is gone; for measuring everything else."""

from tgtcore import Buffer, Concurrency, Extent, Store
from tgtcore_file.options import NullOptions

_ZEROES = memoryview(bytes(1024 * 1024))


class NullStore(Store):
    """A medium that takes everything, keeps nothing and is never full."""

    __slots__ = ("size_bytes",)

    Options = NullOptions
    persistent = True
    concurrency = Concurrency.PARALLEL

    def __init__(self, options: NullOptions) -> None:
        self.size_bytes = options.size

    def read(self, offset: int, length: int) -> Buffer:
        """Zeroes."""
        return _ZEROES[:length] if length <= len(_ZEROES) else bytes(length)

    read_nowait = read

    def write(self, offset: int, data: Buffer) -> None:
        """Take the data and drop it."""

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """The same at once."""
        return True

    write_through = write

    def flush(self) -> None:
        """Nothing to do."""

    def unmap(self, offset: int, length: int) -> None:
        """Nothing to do: it reads as zeroes already."""

    write_zeroes = unmap

    def extents(self, offset: int, length: int) -> tuple[Extent]:
        """Nothing is ever allocated."""
        return (Extent(offset, length, False),)

    def resize(self, size_bytes: int) -> None:
        """Any size will do."""
        self.size_bytes = size_bytes
