import itertools
import random

import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore import Buffer, Extent
from tgtcore.scsi import asc
from tgtcore.scsi.sense import FieldPointer, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Initiator, Result, bench
from tgtcore.testing.ram import RamStore

LENGTH_ERROR = (SenseKey.ILLEGAL_REQUEST, *asc.PARAMETER_LIST_LENGTH_ERROR)
INVALID_PARAMETER = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_PARAMETER_LIST)
OUT_OF_RANGE = (SenseKey.ILLEGAL_REQUEST, *asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)


def parameters(*ranges: tuple[int, int]) -> bytes:
    body = b"".join(lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(4) for lba, blocks in ranges)
    return (len(body) + 6).to_bytes(2, "big") + len(body).to_bytes(2, "big") + bytes(4) + body


def unmap(initiator: Initiator, data: bytes, *, length: int | None = None) -> Result:
    return initiator.execute(bytes((0x42, 0, 0, 0, 0, 0, 0)) + (length or len(data)).to_bytes(2, "big") + b"\0", data)


@pytest.fixture
def full(store: RamStore) -> RamStore:
    store.content[:] = b"o" * len(store.content)
    return store


def test_several_ranges_overlapping_too(initiator: Initiator, full: RamStore) -> None:
    assert unmap(initiator, parameters((0, 4), (2, 4), (10, 0), (2047, 1))).status is Status.GOOD
    expected = bytearray(b"o" * len(full.content))
    expected[: 6 * 512] = bytes(6 * 512)
    expected[-512:] = bytes(512)
    assert full.content == expected


@pytest.mark.parametrize("length", range(1, 24))
def test_truncated_at_every_byte(initiator: Initiator, full: RamStore, length: int) -> None:
    assert unmap(initiator, parameters((0, 4))[:length]).code == LENGTH_ERROR
    assert set(full.content) == {ord("o")}


def test_an_incomplete_last_descriptor_is_ignored(initiator: Initiator, full: RamStore) -> None:
    data = parameters((0, 1), (1, 1))
    cut = (len(data) - 3).to_bytes(2, "big") + (31).to_bytes(2, "big") + data[4:-1]
    assert unmap(initiator, cut).status is Status.GOOD
    assert full.content[:1024] == bytes(512) + b"o" * 512


def test_less_data_than_announced(initiator: Initiator, full: RamStore) -> None:
    assert unmap(initiator, parameters((0, 1))[:20], length=24).code == LENGTH_ERROR
    assert set(full.content) == {ord("o")}


def test_a_bad_descriptor_behind_good_ones_undoes_nothing_because_nothing_was_done(
    initiator: Initiator, full: RamStore
) -> None:
    assert unmap(initiator, parameters((0, 4), (2047, 2))).code == OUT_OF_RANGE
    assert unmap(initiator, parameters((0, 4), (1 << 63, 1))).code == OUT_OF_RANGE
    assert set(full.content) == {ord("o")}


def test_too_many_descriptors(initiator: Initiator, full: RamStore) -> None:
    page = initiator.execute("12 01 b0 00 ff").data
    most = int.from_bytes(page[24:28], "big")
    assert unmap(initiator, parameters(*[(0, 1)] * most)).status is Status.GOOD
    result = unmap(initiator, parameters(*[(9, 1)] * (most + 1)))
    assert result.code == INVALID_PARAMETER
    assert result.sense.field == FieldPointer(2, None, False)
    assert unmap(initiator, parameters(*[(9, 1)] * 4000)).code == INVALID_PARAMETER
    assert full.content[9 * 512] == ord("o")


def test_more_blocks_than_the_maximum(initiator: Initiator) -> None:
    page = initiator.execute("12 01 b0 00 ff").data
    most = int.from_bytes(page[20:24], "big")
    assert unmap(initiator, parameters((0, most + 1))).code == INVALID_PARAMETER


@pytest.mark.parametrize("options", [DiskOptions(thin=False)])
def test_a_disk_that_is_not_thin_has_no_such_commands(initiator: Initiator) -> None:
    unsupported = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_COMMAND_OPERATION_CODE)
    assert unmap(initiator, parameters((0, 1))).code == unsupported
    status = initiator.execute("9e 12 0000000000000000 00000020")
    assert status.code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)


class HoleyStore(RamStore):
    """Allocated in units that are not blocks of 4096 bytes."""

    unit = 1024

    def __init__(self) -> None:
        super().__init__(64 * 1024)
        self.written: set[int] = set()

    def write(self, offset: int, data: Buffer) -> None:
        super().write(offset, data)
        self.written |= set(range(offset // self.unit, -(-(offset + len(data)) // self.unit)))

    def extents(self, offset: int, length: int) -> tuple[Extent]:  # type: ignore[override]
        first = offset // self.unit
        last = first
        while last * self.unit < self.size_bytes and (last in self.written) == (first in self.written):
            last += 1
        end = min(last * self.unit, offset + length)
        return (Extent(offset, end - offset, first in self.written),)


def statuses(initiator: Initiator, lba: int, *, length: int = 4096) -> list[tuple[int, int, int]]:
    data = initiator.execute(bytes((0x9E, 0x12)) + lba.to_bytes(8, "big") + length.to_bytes(4, "big") + bytes(2)).data
    assert int.from_bytes(data[:4], "big") >= len(data) - 4
    return [
        (int.from_bytes(data[at : at + 8], "big"), int.from_bytes(data[at + 8 : at + 12], "big"), data[at + 12])
        for at in range(8, len(data) - 15, 16)
    ]


def test_where_there_is_space() -> None:
    store = HoleyStore()
    store.write(1024, bytes(1024))
    with bench() as made:
        made.add(Disk, store)
        initiator = made.initiator()
        assert statuses(initiator, 0) == [(0, 2, 1), (2, 2, 0), (4, 124, 1)]
        assert statuses(initiator, 3) == [(3, 1, 0), (4, 124, 1)]
        assert statuses(initiator, 0, length=24) == [(0, 2, 1)]
        assert initiator.execute("9e 12 0000000000000080 00000020").code == OUT_OF_RANGE


def test_a_block_with_space_in_a_part_of_it_is_mapped() -> None:
    store = HoleyStore()
    store.write(5 * 1024, bytes(1024))
    with bench() as made:
        made.add(Disk, store, DiskOptions(block_size=4096))
        assert statuses(made.initiator(), 0) == [(0, 1, 1), (1, 1, 0), (2, 14, 1)]


class ListedStore(RamStore):
    """Tells a list of extents, some at a time, and counts how often it is asked."""

    def __init__(self, size_bytes: int, ends: list[int], at_once: int) -> None:
        super().__init__(0)
        self.size_bytes = size_bytes
        self.ends = [*ends, size_bytes]
        self.at_once = at_once
        self.asked = 0

    def extents(self, offset: int, length: int) -> tuple[Extent, ...]:  # type: ignore[override]
        self.asked += 1
        found: list[Extent] = []
        for number, end in enumerate(self.ends):
            if end > offset and len(found) < self.at_once:
                found.append(Extent(offset, end - offset, number % 2 == 0))
                offset = end
        return tuple(found)


@pytest.mark.parametrize("block_size", [512, 4096])
@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
@pytest.mark.parametrize("seed", range(6))
def test_any_extents_come_to_the_right_runs(block_size: int, at_once: int, seed: int) -> None:
    chance = random.Random(seed)
    size = 64 * 4096
    ends = sorted(chance.sample(range(512, size, 512), 40))
    store = ListedStore(size, ends, at_once)
    mapped = [False] * (size // block_size)
    for number, (start, end) in enumerate(zip([0, *store.ends], store.ends, strict=False)):
        if number % 2 == 0:
            for block in range(start // block_size, -(-end // block_size)):
                mapped[block] = True
    with bench() as made:
        made.add(Disk, store, DiskOptions(block_size=block_size))  # type: ignore[arg-type]
        runs = statuses(made.initiator(), 3)
    assert [status == 0 for _, blocks, status in runs for _ in range(blocks)] == mapped[3:]
    assert all(one[2] != other[2] for one, other in itertools.pairwise(runs))


def test_a_fragmented_store_is_asked_once_for_many_runs() -> None:
    store = ListedStore(1024 * 1024, list(range(512, 1024 * 1024, 512)), 2000)
    with bench() as made:
        made.add(Disk, store)
        assert len(statuses(made.initiator(), 0, length=16 * 500)) == 499
    assert store.asked == 1


def test_a_run_is_cut_where_its_length_does_not_fit() -> None:
    blocks = (1 << 32) + 5
    with bench() as made:
        made.add(Disk, ListedStore(blocks * 512, [512], 10))
        assert statuses(made.initiator(), 0) == [(0, 1, 0), (1, (1 << 32) - 1, 1), (1 << 32, 5, 1)]
