from tgtcore_filters.storage.through import Through

from tgtcore import Features, NoOptions, Store
from tgtcore.testing.layer import LayerConformance
from tgtcore.testing.ram import RamStore, SnapshotRamStore


class TestThrough(LayerConformance):
    persistent = True

    def make_layer(self, base: Store) -> Store:
        return Through(base, NoOptions())


def test_snapshots_are_the_business_of_its_base_and_their_size_is_seen() -> None:
    base = SnapshotRamStore()
    through = Through(base, NoOptions())
    assert Features.SNAPSHOTS not in through.features()
    base.create_snapshot("small")
    through.resize(2 * base.size_bytes)
    base.revert_snapshot("small")
    assert through.size_bytes == base.size_bytes == 1024 * 1024


def test_it_is_like_its_base() -> None:
    base = RamStore()
    base.block_bytes, base.preferred_bytes, base.rotational = 512, 65536, True
    through = Through(base, NoOptions())
    assert (through.block_bytes, through.preferred_bytes, through.rotational) == (512, 65536, True)
