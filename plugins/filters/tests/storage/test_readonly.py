import pytest
from tgtcore_filters.storage.readonly import ReadOnlyFilter

from tgtcore import Features, NoOptions, ReadOnly, Store
from tgtcore.testing.layer import LayerConformance
from tgtcore.testing.ram import RamStore


class TestReadOnlyFilter(LayerConformance):
    def make_layer(self, base: Store) -> Store:
        return ReadOnlyFilter(base, NoOptions())


def test_it_offers_nothing_that_changes_its_base() -> None:
    base = RamStore()
    made = ReadOnlyFilter(base, NoOptions())
    assert made.features() == Features.EXTENTS
    assert made.write_nowait(0, b"x") is False
    with pytest.raises(ReadOnly):
        made.write(0, b"x")
    assert not any(base.content)


def test_in_a_store_what_it_stands_on_is_opened_for_reading_only() -> None:
    assert ReadOnlyFilter.writes_base is False


def test_what_was_written_before_it_came_can_still_be_flushed() -> None:
    base = RamStore()
    base.write(0, b"x")
    ReadOnlyFilter(base, NoOptions()).flush()
    assert base.flushes == 1
