from pathlib import Path

from tgtcore.testing.ram import RamStore, SnapshotRamStore
from tgtcore.testing.store import StoreConformance


class TestRamStore(StoreConformance):
    def make_store(self, folder: Path) -> RamStore:
        return RamStore(512 * 1024)


def test_it_counts_flushes() -> None:
    store = RamStore()
    store.flush()
    assert store.flushes == 1


class TestSnapshotRamStore(StoreConformance):
    def make_store(self, folder: Path) -> SnapshotRamStore:
        return SnapshotRamStore(512 * 1024)
