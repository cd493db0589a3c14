from typing import Literal

import pytest
from tgtcore_filters.storage.corrupt import Corrupt, CorruptOptions, Rot

from tgtcore import Concurrency, NoOptions, Store, StoreError
from tgtcore.testing.layer import LayerConformance, ReadOnlyBase
from tgtcore.testing.ram import RamStore

KIB = 1024


class TestCorruptThatDamagesNothing(LayerConformance):
    persistent = True
    examples = 10

    def make_layer(self, base: Store) -> Store:
        return Corrupt(base, CorruptOptions(probability=0))


class TestCorruptElsewhere(LayerConformance):
    persistent = True
    examples = 10

    def make_layer(self, base: Store) -> Store:
        return Corrupt(base, CorruptOptions(ranges=("1G+",)))


def test_it_does_not_move_where_it_can_do_nothing() -> None:
    base = RamStore()
    made = Corrupt(base, CorruptOptions(mode="medium"))
    with pytest.raises(StoreError, match="takes no writes"):
        made.stand_on(ReadOnlyBase(4096))
    assert made.base is base
    made.stand_on(other := RamStore())
    assert made.base is other


@pytest.mark.parametrize("mode", ["reads", "medium"])
def test_one_that_goes_damages_nothing(mode: Literal["reads", "medium"]) -> None:
    base = _written()
    before = bytes(base.content)
    made = Corrupt(base, CorruptOptions(mode=mode))
    made.stand_aside(True)
    assert made.read(0, len(before)) == before == base.content


def _written() -> RamStore:
    base = RamStore()
    base.write(0, bytes(range(256)) * 4 * KIB)
    return base


def _repaired(made: Corrupt, content: bytearray) -> bytes:
    """What there was before, by the ledger."""
    repaired = bytearray(content)
    for entry in reversed(made.ledger(NoOptions())["entries"]):
        assert repaired[entry["offset"]] == entry["after"]
        assert (entry["before"] ^ entry["after"]).bit_count() == 1
        repaired[entry["offset"]] = entry["before"]
    return bytes(repaired)


def test_a_chosen_read_has_flipped_bits_and_the_medium_has_not() -> None:
    base = _written()
    before = bytes(base.content)
    made = Corrupt(base, CorruptOptions(bits=3, count=1))
    read = bytearray(before)
    read[4 * KIB : 8 * KIB] = made.read(4 * KIB, 4 * KIB)
    assert sum(one != other for one, other in zip(read, before, strict=True)) == 3
    assert base.content == before
    assert _repaired(made, read) == before
    assert made.read(4 * KIB, 4 * KIB) == before[4 * KIB : 8 * KIB]


@pytest.mark.parametrize("block_bytes", [1, 4096])
def test_a_medium_is_damaged_where_it_is_read_and_stays_so(block_bytes: int) -> None:
    base = _written()
    base.block_bytes = block_bytes
    before = bytes(base.content)
    made = Corrupt(base, CorruptOptions(mode="medium", bits=5, count=2))
    for _ in range(2):
        made.read(64 * KIB, 64 * KIB)
    damaged = bytes(base.content)
    assert damaged != before
    assert made.read(64 * KIB, 64 * KIB) == damaged[64 * KIB : 128 * KIB]
    assert damaged[: 64 * KIB] + damaged[128 * KIB :] == before[: 64 * KIB] + before[128 * KIB :]
    assert len(made.ledger(NoOptions())["entries"]) == 10
    assert _repaired(made, base.content) == before


def test_nothing_outside_the_ranges_is_touched() -> None:
    base = _written()
    before = bytes(base.content)
    made = Corrupt(base, CorruptOptions(ranges=("0+1K", "3K+1K"), bits=100))
    read = bytes(made.read(512, 3 * KIB))
    assert read[512 : 2 * KIB + 512] == before[KIB : 3 * KIB]
    assert sum(one != other for one, other in zip(read, before[512:], strict=False)) == 100
    assert made.read(KIB, 2 * KIB) == before[KIB : 3 * KIB]
    assert made.read_nowait(KIB, 2 * KIB) == before[KIB : 3 * KIB]
    assert made.read_nowait(0, 4 * KIB) is None
    assert made.region(0, 4 * KIB) is None


@pytest.mark.parametrize("mode", ["reads", "medium"])
def test_bits_rot_when_they_are_told_to(mode: Literal["reads", "medium"]) -> None:
    base = _written()
    before = bytes(base.content)
    made = Corrupt(base, CorruptOptions(mode=mode, ranges=("8K+8K",), probability=0))
    assert made.rot(Rot(bits=20, seed=3)) == {"bytes": 20}
    assert base.content[: 8 * KIB] + base.content[16 * KIB :] == before[: 8 * KIB] + before[16 * KIB :]
    assert _repaired(made, base.content) == before
    damaged = bytes(base.content)
    base.content[:] = before
    assert made.rot(Rot(bits=20, seed=3)) == {"bytes": 20}
    assert base.content == damaged


def test_there_is_never_more_to_flip_than_there_is() -> None:
    base = _written()
    made = Corrupt(base, CorruptOptions(ranges=("0+2",), probability=0))
    assert made.rot(Rot(bits=100)) == {"bytes": 2}


def test_a_medium_is_damaged_while_nobody_writes() -> None:
    made = Corrupt(_written(), CorruptOptions(mode="medium"))
    assert made.concurrency is Concurrency.SERIAL
    assert made.write_nowait(0, b"x") is False
    assert Corrupt(_written(), CorruptOptions()).write_nowait(0, b"x")


def test_a_medium_that_takes_no_writes_can_not_be_damaged() -> None:
    base = ReadOnlyBase(1024 * KIB)
    with pytest.raises(StoreError, match="takes no writes"):
        Corrupt(base, CorruptOptions(mode="medium"))
    with pytest.raises(StoreError, match="takes no writes"):
        Corrupt(base, CorruptOptions()).rot(Rot())
