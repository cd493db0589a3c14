import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_file.memory import CHUNK_BYTES, MemoryStore
from tgtcore_file.options import MemoryOptions

from tgtcore import Extent
from tgtcore.testing.store import StoreConformance

TIB = 1 << 40


class TestMemoryStore(StoreConformance):
    def make_store(self, folder: Path) -> MemoryStore:
        return MemoryStore(MemoryOptions(size=2 << 20))


class TestMemoryStoreOfAnOddSize(StoreConformance):
    def make_store(self, folder: Path) -> MemoryStore:
        return MemoryStore(MemoryOptions(size=300_003))


def _allocated(store: MemoryStore) -> int:
    return sum(extent.length for extent in store.extents(0, store.size_bytes) if extent.allocated)


def test_a_huge_store_costs_what_is_written() -> None:
    store = MemoryStore(MemoryOptions(size=TIB))
    store.write(TIB - 512, b"x" * 512)
    store.write(TIB // 2, b"y")
    assert list(store.extents(0, TIB)) == [
        Extent(0, TIB // 2, False),
        Extent(TIB // 2, CHUNK_BYTES, True),
        Extent(TIB // 2 + CHUNK_BYTES, TIB // 2 - 2 * CHUNK_BYTES, False),
        Extent(TIB - CHUNK_BYTES, CHUNK_BYTES, True),
    ]


def test_unmap_and_a_shorter_size_give_whole_chunks_back() -> None:
    store = MemoryStore(MemoryOptions(size=TIB))
    store.write(0, bytes(4 * CHUNK_BYTES))
    store.unmap(1, 2 * CHUNK_BYTES)
    assert _allocated(store) == 3 * CHUNK_BYTES
    store.resize(CHUNK_BYTES)
    assert _allocated(store) == CHUNK_BYTES
    store.unmap(0, CHUNK_BYTES)
    assert _allocated(store) == 0


def test_zeroed_ranges_have_their_memory() -> None:
    store = MemoryStore(MemoryOptions(size=TIB))
    store.write_zeroes(0, CHUNK_BYTES + 1)
    assert _allocated(store) == 2 * CHUNK_BYTES


@pytest.mark.parametrize("how", ["write", "write_nowait", "write_zeroes"])
def test_a_full_store_takes_nothing_until_space_is_given_back(how: str) -> None:
    store = MemoryStore(MemoryOptions(size=TIB, limit=2 * CHUNK_BYTES))
    store.write(0, b"a" * CHUNK_BYTES)
    argument = 2 * CHUNK_BYTES if how == "write_zeroes" else b"b" * 2 * CHUNK_BYTES
    with pytest.raises(OSError, match="limit of 131072 bytes") as caught:
        getattr(store, how)(CHUNK_BYTES, argument)
    assert caught.value.errno == errno.ENOSPC
    assert _allocated(store) == CHUNK_BYTES
    store.write(0, b"c" * CHUNK_BYTES)  # space that it has already
    store.unmap(0, CHUNK_BYTES)
    getattr(store, how)(CHUNK_BYTES, argument)
    assert _allocated(store) == 2 * CHUNK_BYTES


def test_an_inline_write_does_not_wait_for_another_thread() -> None:
    store = MemoryStore(MemoryOptions(size=TIB))
    with store._changing:
        assert store.write_nowait(0, b"x") is False
    assert store.write_nowait(0, b"x") is True


def test_a_long_list_of_extents_ends_early() -> None:
    store = MemoryStore(MemoryOptions(size=TIB))
    for chunk in range(1, 4001, 2):
        store.write(chunk * CHUNK_BYTES, b"x")
    found = list(store.extents(0, TIB))
    assert len(found) == 1024
    assert found[-1] == Extent(1023 * CHUNK_BYTES, CHUNK_BYTES, True)


@given(st.sets(st.integers(0, 40)), st.integers(0, 40 * CHUNK_BYTES), st.integers(1, 40 * CHUNK_BYTES))
def test_extents_are_the_chunks_that_exist(chunks: set[int], offset: int, length: int) -> None:
    store = MemoryStore(MemoryOptions(size=TIB))
    for chunk in chunks:
        store.write(chunk * CHUNK_BYTES, b"x")
    position = offset
    for extent in store.extents(offset, length):
        assert extent.offset == position
        position += extent.length
        covered = range(extent.offset // CHUNK_BYTES, -(-position // CHUNK_BYTES))
        assert all((chunk in chunks) is extent.allocated for chunk in covered)
    assert position == offset + length


def test_closing_gives_the_memory_back() -> None:
    store = MemoryStore(MemoryOptions(size=TIB))
    store.write(0, b"x")
    store.close()
    assert _allocated(store) == 0
