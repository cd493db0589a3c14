"""A store in use."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tgtcore.loop import Workers
from tgtcore.store import Concurrency, OpenStore, Store
from tgtcore.testing.ram import RamStore, SnapshotRamStore
from tgtcore.testing.store_absent import opened


@pytest.mark.parametrize(("concurrency", "most"), [(Concurrency.SERIAL, 1), (Concurrency.PARALLEL, 2)])
def test_calls_that_are_waited_for_are_under_way_as_the_store_allows(concurrency: Concurrency, most: int) -> None:
    together = threading.Barrier(2)

    def meet() -> bool:
        try:
            together.wait(5 if most == 2 else 0.05)
        except threading.BrokenBarrierError:
            together.reset()
            return False
        return True

    async def run() -> list[bool]:
        workers = Workers(2)
        store = OpenStore("a", RamStore(512), workers, concurrency=concurrency)
        try:
            return await asyncio.gather(store.call(meet), store.call(meet))
        finally:
            workers.close()
            assert workers.join(10)

    assert asyncio.run(run()) == [most == 2] * 2


def test_what_a_call_raises_is_raised() -> None:
    async def run(function: Callable[..., Any], *args: Any) -> Any:
        workers = Workers(1)
        try:
            return await OpenStore("a", RamStore(512), workers).call(function, *args)
        finally:
            workers.close()
            assert workers.join(10)

    assert asyncio.run(run(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(run(divmod, 7, 0))


class Counting(RamStore):
    flushed = 0

    def flush(self) -> None:
        self.flushed += 1


class NeverWrites(Store):
    size_bytes = 512
    flushed = 0

    def read(self, offset: int, length: int) -> bytes:
        return bytes(length)


@pytest.mark.parametrize(("store", "flushes"), [(Counting(512), 2), (NeverWrites(), 0)])
def test_one_that_refuses_writes_flushes_what_others_may_have_left_in_the_cache(
    store: Counting | NeverWrites, flushes: int
) -> None:
    async def run() -> None:
        workers = Workers(1)
        opened = OpenStore("a", store, workers, read_only=True)
        assert not opened.writable
        await opened.call(opened.flush)
        await opened.call(opened.close)
        workers.close()
        assert workers.join(10)

    asyncio.run(run())
    assert store.flushed == flushes


def test_initiators_do_not_see_whether_a_store_keeps_snapshots() -> None:
    assert opened(RamStore()).shown_to_initiators() == opened(SnapshotRamStore()).shown_to_initiators()
