"""A store for tests of what stands on a store."""

import time

from tgtcore.errors import StoreError
from tgtcore.store import Buffer, Concurrency, Extent, SnapshotInfo, Store


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
        """Cut off or append zeroes, in place: what others write meanwhile stays."""
        self.content += bytes(max(size_bytes - len(self.content), 0))
        del self.content[size_bytes:]
        self.size_bytes = size_bytes

    read_nowait = read

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """At once."""
        self.write(offset, data)
        return True


class SnapshotRamStore(RamStore):
    """The same, and it keeps snapshots: copies."""

    def __init__(self, size_bytes: int = 1024 * 1024) -> None:
        super().__init__(size_bytes)
        self.snapshots: dict[SnapshotInfo, bytes] = {}
        """What there is, the oldest first, with what it holds."""
        self._made = 0

    def list_snapshots(self) -> tuple[SnapshotInfo, ...]:
        """All of them."""
        return tuple(self.snapshots)

    def create_snapshot(self, name: str) -> SnapshotInfo:
        """Copy the content."""
        if any(name in (one.id, one.name) for one in self.snapshots):
            raise StoreError(f'there is a snapshot "{name}" already')
        self._made += 1
        made = SnapshotInfo(str(self._made), name, time.time_ns(), self.size_bytes)
        self.snapshots[made] = bytes(self.content)
        return made

    def delete_snapshot(self, id_or_name: str) -> None:
        """Drop the copy."""
        del self.snapshots[self._find(id_or_name)]

    def revert_snapshot(self, id_or_name: str) -> None:
        """Copy it back."""
        self.content = bytearray(self.snapshots[self._find(id_or_name)])
        self.size_bytes = len(self.content)

    def _find(self, id_or_name: str) -> SnapshotInfo:
        for found in self.snapshots:
            if id_or_name in (found.id, found.name):
                return found
        raise StoreError(f'there is no snapshot "{id_or_name}"')
