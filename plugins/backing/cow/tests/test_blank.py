from collections.abc import Iterator

import pytest
from tgtcore_cow.blank import is_blank

from tgtcore import Buffer, Extent, Features, Store
from tgtcore.testing.ram import RamStore


class _Sparse(Store):
    """Zeroes, of which some are allocated; tells one extent at a time."""

    def __init__(self, size_bytes: int, allocated: int, *, tells: bool = True) -> None:
        self.size_bytes = size_bytes
        self.read_bytes = 0
        self._allocated = allocated
        self._tells = tells

    def features(self) -> Features:
        return Features.EXTENTS if self._tells else Features.NONE

    def read(self, offset: int, length: int) -> Buffer:
        self.read_bytes += length
        return bytes(length)

    def extents(self, offset: int, length: int) -> Iterator[Extent]:
        end = self._allocated if offset < self._allocated else self.size_bytes
        yield Extent(offset, min(end, offset + length) - offset, offset < self._allocated)


@pytest.mark.parametrize("offset", [0, 511, (1 << 20) - 1, 1 << 20, (3 << 20) - 1])
def test_one_byte_anywhere_is_something(offset: int) -> None:
    store = RamStore(3 << 20)
    assert is_blank(store)
    store.write(offset, b"x")
    assert not is_blank(store)


def test_an_empty_store_is_blank() -> None:
    assert is_blank(RamStore(0))


def test_what_is_not_allocated_is_not_read() -> None:
    store = _Sparse(1 << 50, 5 << 20)
    assert is_blank(store)
    assert store.read_bytes == 5 << 20


@pytest.mark.parametrize("tells", [True, False])
def test_more_than_can_be_looked_at_counts_as_something(tells: bool) -> None:
    store = _Sparse((1 << 30) + 512, 1 << 40, tells=tells)
    assert not is_blank(store)
    assert store.read_bytes <= 1 << 30
