"""A store for tests of what stands on a store."""

from tgtcore.store import Buffer, Concurrency, Extent, Store


class RamStore(Store):
    """A bytearray that offers every operation of the contract and counts the flushes; all of it is always allocated."""

    concurrency = Concurrency.PARALLEL

    def __init__(self, size_bytes: int = 1024 * 1024) -> None:
        self.size_bytes = size_bytes
        self.content = bytearray(size_bytes)
        self.flushes = 0

    def read(self, offset: int, length: int) -> Buffer:
        """A copy."""
        return self.content[offset : offset + length]

    def write(self, offset: int, data: Buffer) -> None:
        """At once."""
        self.content[offset : offset + len(data)] = data

    def flush(self) -> None:
        """Count it."""
        self.flushes += 1

    write_through = write

    def unmap(self, offset: int, length: int) -> None:
        """Zero the range."""
        self.content[offset : offset + length] = bytes(length)

    write_zeroes = unmap

    def extents(self, offset: int, length: int) -> tuple[Extent]:
        """One."""
        return (Extent(offset, length, True),)

    def resize(self, size_bytes: int) -> None:
        """Cut off or append zeroes."""
        self.content = self.content[:size_bytes].ljust(size_bytes, b"\0")
        self.size_bytes = size_bytes

    read_nowait = read

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """At once."""
        self.write(offset, data)
        return True
