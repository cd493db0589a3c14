import pytest
from tgtcore_disk import Disk

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Initiator, bench
from tgtcore.testing.ram import RamStore

OUT_OF_RANGE = (SenseKey.ILLEGAL_REQUEST, *asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
IMMED, SYNC_NV = 0x02, 0x04
CACHE = [
    "35 {:02x} {:08x} 00 {:04x}",
    "91 {:02x} {:016x} {:08x}",
    "34 {:02x} {:08x} 00 {:04x}",
    "90 {:02x} {:016x} {:08x}",
]


@pytest.mark.parametrize("cdb", CACHE)
@pytest.mark.parametrize("immediate", [0, 2])
def test_ranges(initiator: Initiator, cdb: str, immediate: int) -> None:
    for lba, blocks in ((0, 0), (5, 7), (2047, 1), (2047, 0)):
        assert initiator.execute(cdb.format(immediate, lba, blocks)).status is Status.GOOD
    for lba, blocks in ((2048, 1), (2047, 2), (2049, 0)):
        assert initiator.execute(cdb.format(immediate, lba, blocks)).code == OUT_OF_RANGE


@pytest.mark.parametrize("cdb", CACHE[:2])
@pytest.mark.parametrize("flags", [0, IMMED, SYNC_NV, IMMED | SYNC_NV])
def test_good_means_that_the_store_was_flushed(initiator: Initiator, store: RamStore, cdb: str, flags: int) -> None:
    initiator.execute(cdb.format(flags, 0, 0))
    assert store.flushes == 1


class FailingStore(RamStore):
    def flush(self) -> None:
        raise OSError(5, "the disk is gone")

    def close(self) -> None:
        return


def test_a_flush_that_fails_is_an_error_with_immed_too() -> None:
    store = FailingStore()
    with bench() as made:
        made.add(Disk, store)
        initiator = made.initiator()
        for cdb in ("35", "35 02", "1b"):
            assert initiator.execute(cdb).code == (SenseKey.MEDIUM_ERROR, *asc.WRITE_ERROR)
        store.flush = lambda: None  # type: ignore[method-assign]
