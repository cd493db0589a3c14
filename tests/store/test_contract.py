import pytest

from tgtcore.store import Features, SnapshotInfo, Store
from tgtcore.testing.ram import RamStore, SnapshotRamStore


class ReadOnlyStore(Store):
    size_bytes = 1024

    def read(self, offset: int, length: int) -> bytes:
        return bytes(length)


class FullStore(ReadOnlyStore):
    def write(self, offset: int, data: object) -> None: ...

    def flush(self) -> None: ...

    def unmap(self, offset: int, length: int) -> None: ...


def test_what_a_class_does_not_define_is_not_offered() -> None:
    assert ReadOnlyStore().features() is Features.NONE
    assert FullStore().features() == Features.WRITE | Features.UNMAP


def test_writes_without_flush_are_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"Careless defines one of write\(\) and flush\(\) without the other"):

        class Careless(ReadOnlyStore):
            def write(self, offset: int, data: object) -> None: ...


def test_the_nowait_forms_decline_by_default() -> None:
    store = FullStore()
    assert store.read_nowait(0, 512) is None
    assert store.write_nowait(0, b"x") is False
    assert store.region(0, 512) is None


def test_snapshots_in_part_are_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"Partial defines some of .*, but not delete_snapshot, revert_snapshot;"):

        class Partial(FullStore):
            def list_snapshots(self) -> tuple[SnapshotInfo, ...]:
                return ()

            def create_snapshot(self, name: str) -> SnapshotInfo:
                return SnapshotInfo("1", name, 0, 1024)


def test_a_class_that_keeps_snapshots_offers_them() -> None:
    assert Features.SNAPSHOTS in SnapshotRamStore().features()
    assert Features.SNAPSHOTS not in RamStore().features()
