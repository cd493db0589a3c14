"""The size of a store changes under a logical unit that is in use."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from tgtcore_disk import Disk

from tgtcore import Buffer
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.task import State
from tgtcore.testing.initiator import Bench, Initiator, bench
from tgtcore.testing.ram import RamStore

BLOCKS = 2048
HALF = BLOCKS * 512 // 2
OUT_OF_RANGE = (SenseKey.ILLEGAL_REQUEST, *asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
CHANGED = (SenseKey.UNIT_ATTENTION, *asc.CAPACITY_DATA_HAS_CHANGED)
WRITE, WRITE_LAST = "2a 00 00000000 00 0001", f"2a 00 {BLOCKS - 1:08x} 00 0001"


class GatedStore(RamStore):
    """Writes and resizes wait for the test on their workers."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = threading.Event()
        self.may_resize = threading.Event()
        self.resizing = 0
        self.refuses = False

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        return False

    def write(self, offset: int, data: Buffer) -> None:
        assert self.may_write.wait(10)
        assert offset + len(data) <= len(self.content), "a write beyond the end"
        super().write(offset, data)

    def resize(self, size_bytes: int) -> None:
        self.resizing += 1
        assert self.resizing == 1, "two resizes at one time"
        assert self.may_resize.wait(10)
        self.resizing -= 1
        if self.refuses:
            raise OSError(28, "no space")
        super().resize(size_bytes)


@pytest.fixture
def store() -> GatedStore:
    return GatedStore()


@pytest.fixture
def made(store: GatedStore) -> Iterator[Bench]:
    with bench() as made:
        made.add(Disk, store)
        yield made
        store.may_write.set()
        store.may_resize.set()


@pytest.fixture
def initiator(made: Bench) -> Initiator:
    return made.initiator()


def resize(made: Bench, size_bytes: int) -> "asyncio.Task[None]":
    """Begin a resize and let it come as far as it can."""
    task = made.loop.create_task(made.lus[0].resize(size_bytes))
    turn(made)
    return task


def turn(made: Bench) -> None:
    for _ in range(5):
        made.loop.run_until_complete(asyncio.sleep(0))


def test_a_smaller_store_waits_for_what_is_being_written_there(
    made: Bench, initiator: Initiator, store: GatedStore
) -> None:
    store.may_resize.set()
    last = initiator.start(WRITE_LAST, b"x" * 512)
    resized = resize(made, HALF)
    assert store.size_bytes == 2 * HALF
    assert initiator.execute(WRITE_LAST, b"y" * 512).code == OUT_OF_RANGE
    store.may_write.set()
    assert initiator.finish(last).status is Status.GOOD
    made.loop.run_until_complete(resized)
    assert len(store.content) == store.size_bytes == HALF
    assert initiator.execute(WRITE_LAST, b"y" * 512).code == CHANGED
    assert initiator.execute(WRITE_LAST, b"y" * 512).code == OUT_OF_RANGE


def test_data_that_comes_after_the_medium_was_cut_is_refused(
    made: Bench, initiator: Initiator, store: GatedStore
) -> None:
    store.may_resize.set()
    held = initiator.start(WRITE_LAST, b"x" * 512, held=True)
    made.loop.run_until_complete(resize(made, HALF))
    held.give_data()
    assert initiator.finish(held).code == OUT_OF_RANGE


def test_a_store_that_keeps_its_size_is_used_to_its_end_again(
    made: Bench, initiator: Initiator, store: GatedStore
) -> None:
    store.may_resize.set()
    store.may_write.set()
    store.refuses = True
    with pytest.raises(OSError, match="no space"):
        made.loop.run_until_complete(resize(made, HALF))
    assert initiator.execute(WRITE_LAST, b"y" * 512).status is Status.GOOD


@pytest.mark.parametrize("given_up", [False, True])
def test_one_resize_at_a_time(made: Bench, store: GatedStore, given_up: bool) -> None:
    first, second = resize(made, 4 * HALF), resize(made, 3 * HALF)
    if given_up:
        first.cancel()
        turn(made)
    store.may_resize.set()
    made.loop.run_until_complete(second)
    assert first.cancelled() is given_up
    assert len(store.content) == store.size_bytes == 3 * HALF
    assert len(made.lus[0].store.leases) == 1  # type: ignore[union-attr]


def test_a_larger_store_waits_for_nobody(made: Bench, initiator: Initiator, store: GatedStore) -> None:
    store.may_resize.set()
    task = initiator.start(WRITE, b"x" * 512)
    made.loop.run_until_complete(resize(made, 4 * HALF))
    assert task.state is State.RUNNING
    store.may_write.set()
    assert initiator.finish(task).status is Status.GOOD
    assert initiator.execute("25").code == CHANGED
