import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore.scsi import asc
from tgtcore.scsi.sense import FieldPointer, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Initiator, bench
from tgtcore.testing.ram import RamStore

INVALID_FIELD = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
UNMAP, ANCHOR, NDOB = 0x08, 0x10, 0x01


def write_same(lba: int, blocks: int, flags: int = 0) -> bytes:
    return bytes((0x93, flags)) + lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(2)


def test_zero_blocks_do_not_mean_the_rest_of_the_medium(initiator: Initiator, store: RamStore) -> None:
    store.content[:] = b"o" * len(store.content)
    result = initiator.execute(write_same(0, 0), bytes(512))
    assert result.code == INVALID_FIELD
    assert result.sense.field == FieldPointer(10, None, True)
    assert initiator.execute("12 01 b0 00 ff").data[4] & 1  # WSNZ
    assert initiator.execute("41 00 00000000 00 0000", bytes(512)).code == INVALID_FIELD
    assert set(store.content) == {ord("o")}


def test_more_than_the_maximum(initiator: Initiator) -> None:
    longest = int.from_bytes(initiator.execute("12 01 b0 00 ff").data[36:44], "big")
    assert initiator.execute(write_same(0, longest + 1), bytes(512)).code == INVALID_FIELD


def test_beyond_the_end(initiator: Initiator) -> None:
    result = initiator.execute(write_same(2040, 9), bytes(512))
    assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)


def test_a_pattern_all_over_the_medium(initiator: Initiator, store: RamStore) -> None:
    pattern = bytes(range(256)) * 2
    assert initiator.execute(write_same(0, 2048), pattern).status is Status.GOOD
    assert store.content == pattern * 2048


@pytest.mark.parametrize("flags", [0, UNMAP])
def test_write_protection_counts_before_what_else_is_wrong(flags: int) -> None:
    with bench() as made:
        made.add(Disk, RamStore(), read_only=True)  # and so not thin either
        result = made.initiator().execute(write_same(0, 1, flags), bytes(512))
    assert result.code == (SenseKey.DATA_PROTECT, *asc.WRITE_PROTECTED)


@pytest.mark.parametrize("flags", [ANCHOR, ANCHOR | NDOB])
def test_anchor_without_unmap(initiator: Initiator, flags: int) -> None:
    result = initiator.execute(write_same(0, 1, flags), b"" if flags & NDOB else bytes(512))
    assert result.code == INVALID_FIELD
    assert result.sense.field == FieldPointer(1, 4, True)


@pytest.mark.parametrize("options", [DiskOptions(thin=False)])
@pytest.mark.parametrize("flags", [UNMAP, UNMAP | ANCHOR])
def test_unmap_on_a_disk_that_is_not_thin(initiator: Initiator, flags: int) -> None:
    assert initiator.execute(write_same(0, 1, flags), bytes(512)).code == INVALID_FIELD


def test_no_data_out_where_a_block_is_wanted(initiator: Initiator) -> None:
    assert initiator.execute(write_same(0, 1)).code == INVALID_FIELD
    assert initiator.execute(write_same(0, 1), bytes(511)).code == INVALID_FIELD


@pytest.mark.parametrize("options", [DiskOptions(write_cache=False)])
def test_without_write_cache_it_is_durable(initiator: Initiator, store: RamStore) -> None:
    before = store.flushes
    initiator.execute(write_same(0, 1), bytes(512))
    assert store.flushes == before + 1
