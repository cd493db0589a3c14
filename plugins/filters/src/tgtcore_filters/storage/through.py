"""A filter that changes nothing: what the others of this package begin with."""

from collections.abc import Iterable

from pydantic import BaseModel

from tgtcore import Buffer, Concurrency, Extent, Features, Filter, Region, Space, Store


class Through(Filter):
    """Hands every operation on bytes to its base, and offers those that its base offers; snapshots are the base's own."""

    concurrency = Concurrency.PARALLEL

    def __init__(self, base: Store, options: BaseModel) -> None:
        super().__init__(base, options)
        self.stand_on(base)

    def stand_on(self, base: Store) -> None:
        """As in the contract: nothing is known of the base but what it is like."""
        self.base = base
        self.block_bytes = base.block_bytes
        self.preferred_bytes = base.preferred_bytes
        self.rotational = base.rotational
        self.path = base.path

    @property
    def size_bytes(self) -> int:  # type: ignore[override]  # a snapshot that the base goes back to may have another one
        """That of the base."""
        return self.base.size_bytes

    def features(self) -> Features:
        """What both can do."""
        return super().features() & self.base.features()

    def read(self, offset: int, length: int) -> Buffer:
        """As in the contract, and so are the others."""
        return self.base.read(offset, length)

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """As in the contract."""
        return self.base.read_nowait(offset, length)

    def region(self, offset: int, length: int) -> Region | None:
        """As in the contract."""
        return self.base.region(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        """As in the contract."""
        self.base.write(offset, data)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """As in the contract."""
        return self.base.write_nowait(offset, data)

    def flush(self) -> None:
        """As in the contract."""
        self.base.flush()

    def write_through(self, offset: int, data: Buffer) -> None:
        """As in the contract."""
        self.base.write_through(offset, data)

    def unmap(self, offset: int, length: int) -> None:
        """As in the contract."""
        self.base.unmap(offset, length)

    def write_zeroes(self, offset: int, length: int) -> None:
        """As in the contract."""
        self.base.write_zeroes(offset, length)

    def extents(self, offset: int, length: int) -> Iterable[Extent]:
        """As in the contract."""
        return self.base.extents(offset, length)

    def resize(self, size_bytes: int) -> None:
        """As in the contract."""
        self.base.resize(size_bytes)

    def base_changed(self) -> None:
        """As in the contract: nothing is known of the base."""

    def space(self) -> Space:
        """As in the contract."""
        return self.base.space()

    def admit_readers(self) -> None:
        """As in the contract."""
        self.base.admit_readers()
