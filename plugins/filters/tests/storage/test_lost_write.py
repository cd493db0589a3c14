from pathlib import Path

import pytest
from pydantic import ValidationError
from tgtcore_filters.storage.faulty import FaultyOptions
from tgtcore_filters.storage.lost_write import LostWrite

from tgtcore import NoOptions, Store
from tgtcore.testing.layer import LayerConformance
from tgtcore.testing.ram import RamStore


class TestLostWriteThatLosesNothing(LayerConformance):
    persistent = True
    examples = 10

    def make_layer(self, base: Store) -> Store:
        return LostWrite(base, FaultyOptions(probability=0))


class TestLostWriteElsewhere(LayerConformance):
    persistent = True
    examples = 10

    def make_layer(self, base: Store) -> Store:
        return LostWrite(base, FaultyOptions(ranges=("1G+",)))


@pytest.mark.parametrize("how", ["write", "write_through"])
def test_a_chosen_write_is_not_done_and_is_in_the_ledger(how: str) -> None:
    base = RamStore()
    made = LostWrite(base, FaultyOptions(first=2, count=1))
    for at in range(3):
        getattr(made, how)(at * 512, b"x" * 512)
    assert base.content[:1536] == b"x" * 512 + bytes(512) + b"x" * 512
    assert made.read(512, 512) == bytes(512)
    shown = made.ledger(NoOptions())
    assert shown == {"entries": [{"strike": 1, "call": how, "offset": 512, "length": 512}], "forgotten": 0}
    assert made.figures() == {"matched": 3, "chosen": 1, "ledger_entries": 1}
    assert made.clear(NoOptions()) == {"cleared": 1}
    assert made.ledger(NoOptions())["entries"] == []


def test_only_writes_that_touch_the_ranges_are_lost() -> None:
    base = RamStore()
    made = LostWrite(base, FaultyOptions(ranges=("4K+1K",)))
    made.write(0, b"a" * 4096)
    made.write(4096 + 512, b"b" * 4096)
    made.write_zeroes(4096, 512)
    assert base.content[:16384] == b"a" * 4096 + bytes(12288)
    assert made.figures()["matched"] == 1


def test_a_write_that_may_be_chosen_is_left_to_a_worker_and_counts_once() -> None:
    base = RamStore()
    made = LostWrite(base, FaultyOptions(ranges=("0+4K",), every=2, first=2))
    assert made.write_nowait(8192, b"x")
    assert made.write_nowait(0, b"x") is False
    made.write(0, b"x")
    assert base.content[0] == ord("x")
    assert made.figures() == {"matched": 1, "chosen": 0, "ledger_entries": 0}


def test_the_same_seed_loses_the_same(tmp_path: Path) -> None:
    def lost(seed: int) -> bytes:
        base = RamStore()
        made = LostWrite(base, FaultyOptions(probability=0.5, seed=seed))
        for at in range(100):
            made.write(at, b"x")
        return bytes(base.content[:100])

    assert lost(1) == lost(1) != lost(2)
    assert 20 < lost(1).count(b"x") < 80


def test_its_ledger_and_its_ranges_are_bounded() -> None:
    made = LostWrite(RamStore(), FaultyOptions(ledger=2))
    for at in range(5):
        made.write(at, b"x")
    assert made.ledger(NoOptions())["forgotten"] == 3
    for wrong in ({"ledger": 0}, {"ranges": ("0+1",) * 257}, {"ranges": ("no",)}):
        with pytest.raises(ValidationError):
            FaultyOptions.model_validate(wrong)
