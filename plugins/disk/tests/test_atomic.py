import random
import threading
from typing import Any

import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore import Buffer
from tgtcore.scsi import asc
from tgtcore.scsi.sense import FieldPointer, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.task import State
from tgtcore.testing.initiator import Initiator, MemoryTask, bench
from tgtcore.testing.ram import RamStore

MISCOMPARE = (SenseKey.MISCOMPARE, *asc.MISCOMPARE_DURING_VERIFY_OPERATION)
INCREMENTS = 300


def compare_and_write(lba: int, blocks: int, flags: int = 0) -> bytes:
    return bytes((0x89, flags)) + lba.to_bytes(8, "big") + bytes((0, 0, 0, blocks, 0, 0))


def test_the_sense_data_says_where_the_first_difference_is(initiator: Initiator, store: RamStore) -> None:
    store.content[512:1536] = b"a" * 1024
    expected = b"a" * 700 + b"b" * 324
    result = initiator.execute(compare_and_write(1, 2), expected + b"c" * 1024)
    assert result.code == MISCOMPARE
    assert result.sense.information == 700
    assert store.content[512:1536] == b"a" * 1024


@pytest.mark.parametrize("blocks", [0, 1, 255])
def test_number_of_blocks(initiator: Initiator, store: RamStore, blocks: int) -> None:
    data = bytes(blocks * 512) + b"n" * (blocks * 512)
    assert initiator.execute(compare_and_write(0, blocks), data).status is Status.GOOD
    assert store.content == (b"n" * (blocks * 512)).ljust(len(store.content), b"\0")


def test_256_blocks_do_not_fit_the_field(initiator: Initiator) -> None:
    cdb = bytearray(compare_and_write(0, 0))
    cdb[12] = 1
    result = initiator.execute(bytes(cdb), bytes(512))
    assert result.sense.field == FieldPointer(12, 0, True)


@pytest.mark.parametrize("cdb", [compare_and_write(0, 2), "8b 00 0000000000000000 00000004"])
def test_data_out_that_is_too_short_changes_nothing(initiator: Initiator, store: RamStore, cdb: bytes | str) -> None:
    result = initiator.execute(cdb, b"\1" * 1024)
    assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
    assert not any(store.content)


@pytest.mark.parametrize("options", [DiskOptions(block_size=4096, max_transfer_bytes=65536)])
def test_no_more_blocks_than_a_transfer_may_have(initiator: Initiator, options: DiskOptions) -> None:
    limits = initiator.execute("12 01 b0 00 ff").data
    assert limits[5] == 16
    assert initiator.execute(compare_and_write(0, 16), bytes(2 * 65536)).status is Status.GOOD
    result = initiator.execute(compare_and_write(0, 17), bytes(2 * 17 * 4096))
    assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
    assert result.sense.field == FieldPointer(13, None, True)


class HalfStore(RamStore):
    """Writes half of the data at once and leaves the rest to a worker, as a page cache may."""

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        self.write(offset, data[: len(data) // 2])
        return False


def test_what_was_compared_is_not_compared_again_with_what_was_written(options: DiskOptions) -> None:
    store = HalfStore()
    with bench() as made:
        made.add(Disk, store, options)
        assert made.initiator().execute(compare_and_write(0, 4), bytes(2048) + b"n" * 2048).status is Status.GOOD
    assert store.content[:2048] == b"n" * 2048


class JitteryStore(RamStore):
    """Now at once, now on a worker, as a page cache does."""

    def __init__(self) -> None:
        super().__init__()
        self._chance = random.Random(3)
        self._lock = threading.Lock()

    def read_nowait(self, offset: int, length: int) -> Buffer | None:  # type: ignore[override]
        return self.read(offset, length) if self._chance.random() < 0.5 else None

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        return self._chance.random() < 0.5 and super().write_nowait(offset, data)


@pytest.mark.parametrize("options", [DiskOptions(), DiskOptions(write_cache=False)])
def test_many_increments_by_two_nexuses_are_exact(options: DiskOptions) -> None:
    store = JitteryStore()
    with bench(threads=8) as made:
        made.add(Disk, store, options)
        initiators = [made.initiator(f"iqn.2025-01.example:host{number}") for number in (1, 2)]
        done = 0
        while done < INCREMENTS:
            reads = [initiator.start("28 00 00000005 00 0001", data_in=512) for initiator in initiators]
            values = [initiator.finish(task).data for initiator, task in zip(initiators, reads, strict=True)]
            tasks = [
                initiator.start(compare_and_write(5, 1), value + _next(value))
                for initiator, value in zip(initiators, values, strict=True)
            ]
            results = [initiator.finish(task) for initiator, task in zip(initiators, tasks, strict=True)]
            assert all(result.status is Status.GOOD or result.code == MISCOMPARE for result in results)
            done += sum(result.status is Status.GOOD for result in results)
        assert int.from_bytes(store.content[5 * 512 : 6 * 512], "big") == done


def _next(value: bytes) -> bytes:
    return (int.from_bytes(value, "big") + 1).to_bytes(512, "big")


class GatedStore(RamStore):
    """Blocking calls wait until the test opens the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def read(self, offset: int, length: int) -> Buffer:
        assert self.gate.wait(10)
        return super().read(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        assert self.gate.wait(10)
        super().write(offset, data)

    def read_nowait(self, offset: int, length: int) -> Buffer | None:  # type: ignore[override]
        return super().read(offset, length) if self.gate.is_set() else None

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        if not self.gate.is_set():
            return False
        super().write(offset, data)
        return True


@pytest.mark.parametrize(
    ("cdb", "data", "waits"),
    [
        ("28 00 00000002 00 0001", b"", True),
        ("2a 00 00000001 00 0002", bytes(1024), True),
        ("42 00 00 00 00 00 00 0018", bytes.fromhex("0016 0010 00000000 0000000000000002 00000001 00000000"), True),
        ("93 01 0000000000000000 00000004", b"", True),
        ("2f 02 00000002 00 0001", b"n" * 512, True),
        ("28 00 00000003 00 0001", b"", False),
    ],
)
def test_other_commands_on_the_same_blocks_wait(cdb: str, data: bytes, waits: bool) -> None:
    store = GatedStore()
    with bench() as made:
        made.add(Disk, store)
        disk = made.lus[0].device
        assert isinstance(disk, Disk)
        first, second = made.initiator(), made.initiator("iqn.2025-01.example:other")
        atomic = first.start(compare_and_write(2, 1), bytes(512) + b"n" * 512)
        late = second.start(cdb, data, 0 if data else 512)
        assert len(disk.ranges) == 2
        assert disk.ranges.contended
        assert (late in disk.ranges._waiting) is waits
        store.gate.set()
        assert first.finish(atomic).status is Status.GOOD
        assert second.finish(late).status is Status.GOOD
        assert len(disk.ranges) == 0


def test_a_task_that_is_aborted_while_it_waits_does_nothing() -> None:
    store = GatedStore()
    with bench() as made:
        made.add(Disk, store)
        first, second = made.initiator(), made.initiator("iqn.2025-01.example:other")
        atomic = first.start(compare_and_write(2, 1), bytes(512) + b"n" * 512)
        late: MemoryTask = second.start("2a 00 00000002 00 0001", b"x" * 512)
        assert not late.abort(None)
        store.gate.set()
        assert first.finish(atomic).status is Status.GOOD
        made.run_until(lambda: late.state is State.ENDED, "the aborted write")
        assert late.result is None
        assert store.content[1024:1536] == b"n" * 512


class SlowAtFirst(RamStore):
    """Leaves everything to the workers, until it is fast."""

    fast = False

    def read_nowait(self, offset: int, length: int) -> Any:
        return super().read_nowait(offset, length) if self.fast else None

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        return self.fast and super().write_nowait(offset, data)


def test_any_number_of_waiters_go_on_one_after_the_other(options: DiskOptions) -> None:
    with bench() as made:
        store = SlowAtFirst()
        made.add(Disk, store, options)
        initiator = made.initiator()
        compare_and_write = "89 00 0000000000000009 000000 01"
        tasks = [initiator.start(compare_and_write, bytes(2 * options.block_size)) for _ in range(1000)]
        store.fast = True
        assert {initiator.finish(task).status for task in tasks} == {Status.GOOD}
