from pathlib import Path

from tgtcore.testing.ram import RamStore
from tgtcore.testing.store import StoreConformance


class TestRamStore(StoreConformance):
    def make_store(self, folder: Path) -> RamStore:
        return RamStore(512 * 1024)


def test_it_counts_flushes() -> None:
    store = RamStore()
    store.flush()
    assert store.flushes == 1
