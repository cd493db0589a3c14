import errno
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from tgtcore_filters.storage.cache import Cache, CacheOptions

from tgtcore import Buffer, Extent, Store
from tgtcore.testing.layer import LayerConformance, WatchedBase
from tgtcore.testing.ram import RamStore

KIB, MIB = 1024, 1024 * 1024


class TestCache(LayerConformance):
    persistent = True

    def make_layer(self, base: Store) -> Store:
        return Cache(base, CacheOptions())


class TestSmallCache(LayerConformance):
    """Everything is written back all the time."""

    persistent = True

    def make_layer(self, base: Store) -> Store:
        return Cache(base, CacheOptions(size=MIB))


def cache(base: Store, size: int = MIB) -> Cache:
    return Cache(base, CacheOptions(size=size))


@pytest.mark.parametrize("how", ["write", "write_nowait"])
def test_a_write_is_volatile_until_it_is_flushed(how: str) -> None:
    base = RamStore()
    made = cache(base)
    getattr(made, how)(4096, b"x" * 4096)
    assert made.read(4096, 4096) == b"x" * 4096
    assert made.figures()["volatile_bytes"] == 4096
    assert not any(base.content)
    made.flush()
    assert base.content[4096:8192] == b"x" * 4096
    assert base.flushes == 1
    assert made.figures() == {"volatile_bytes": 0, "written_back_bytes": 4096}


def test_what_is_written_through_is_durable_and_nothing_else_is() -> None:
    base = RamStore()
    made = cache(base)
    made.write(0, b"a" * 8192)
    made.write_through(4096, b"b" * 8192)
    assert base.content[: 12 * KIB] == bytes(4096) + b"b" * 8192
    assert made.read(0, 12 * KIB) == b"a" * 4096 + b"b" * 8192
    made.flush()
    assert base.content[: 12 * KIB] == b"a" * 4096 + b"b" * 8192


def test_one_that_is_full_writes_back_and_its_memory_is_bounded() -> None:
    base = RamStore(8 * MIB)
    made = cache(base)
    taken = 0
    while made.write_nowait(taken, b"x" * 512):
        taken += 512
    assert taken > MIB // 2
    assert made.pending.cost_bytes <= MIB
    assert not any(base.content)
    made.write(taken, b"y" * 512)
    assert base.content[:taken] == b"x" * taken
    assert made.figures()["volatile_bytes"] == 512
    assert base.flushes == 0


def test_a_write_that_is_too_long_goes_past_it() -> None:
    base = RamStore(8 * MIB)
    made = cache(base)
    made.write(MIB, b"a" * 4096)
    assert made.write_nowait(0, b"b" * 2 * MIB) is False
    made.write(0, b"b" * 2 * MIB)
    assert made.figures()["volatile_bytes"] == 0
    assert made.read(0, 2 * MIB) == base.content[: 2 * MIB] == b"b" * 2 * MIB


def test_neighbours_are_written_back_together() -> None:
    class Counting(RamStore):
        writes = 0

        def write(self, offset: int, data: Buffer) -> None:
            self.writes += 1
            super().write(offset, data)

    base = Counting(8 * MIB)
    made = cache(base, 4 * MIB)
    for block in reversed(range(512)):
        made.write(block * 4096, b"x" * 4096)
    made.write(4 * MIB, b"y" * 4096)
    made.flush()
    assert base.writes == 3


def test_what_can_not_be_written_back_stays_and_is_tried_again() -> None:
    base = WatchedBase(MIB)
    made = cache(base)
    made.write(0, b"x" * 4096)
    base.fails = True
    for _ in range(2):
        with pytest.raises(OSError, match="as the test wants") as caught:
            made.flush()
        assert caught.value.errno == errno.EIO
    assert made.read(0, 4096) == b"x" * 4096
    base.fails = False
    made.flush()
    assert base.content[:4096] == b"x" * 4096
    made.close()


def test_a_store_that_is_closed_has_its_writes() -> None:
    base = RamStore()
    made = cache(base)
    made.write(0, b"x")
    made.close()
    assert base.content[:1] == b"x"


def test_what_was_not_flushed_goes_with_what_is_beneath() -> None:
    base = RamStore()
    made = cache(base)
    made.write(0, b"x" * 512)
    made.base_changed()
    made.flush()
    assert made.read(0, 512) == base.content[:512] == bytes(512)
    assert made.figures()["volatile_bytes"] == 0


def test_extents_are_those_that_there_will_be() -> None:
    class Sparse(RamStore):
        def extents(self, offset: int, length: int) -> tuple[Extent]:
            return (Extent(offset, min(length, 64 * KIB), False),)  # it stops early

    made = cache(Sparse())
    made.write(4096, b"x" * 4096)
    assert list(made.extents(0, 32 * KIB)) == [
        Extent(0, 4096, False),
        Extent(4096, 4096, True),
        Extent(8192, 24 * KIB, False),
    ]
    assert list(made.extents(0, MIB))[-1] == Extent(8192, 64 * KIB, False)
    assert list(made.extents(5000, 100)) == [Extent(5000, 100, True)]


def test_nobody_on_the_loop_waits_for_it() -> None:
    """A flush is under way: reads and writes go on; while somebody looks into the memory they are left to a worker."""
    begun, go_on = Event(), Event()

    class Slow(RamStore):
        def flush(self) -> None:
            begun.set()
            assert go_on.wait(10)

    made = cache(Slow())
    made.write(0, b"a" * 512)
    with ThreadPoolExecutor(1) as pool:
        flush = pool.submit(made.flush)
        assert begun.wait(10)
        assert made.write_nowait(512, b"b" * 512)
        assert made.read_nowait(0, 1024) == b"a" * 512 + b"b" * 512
        go_on.set()
        flush.result(10)
    with made.changing:
        assert made.write_nowait(0, b"c") is False
        assert made.read_nowait(0, 1) is None
        assert made.region(0, 1) is None
