"""What a crash loses and keeps; who is to blame for it is tested with initiators."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tgtcore_filters.storage.crash import Crash, CrashOptions
from tgtcore_filters.storage.power_cut import Cut

from tgtcore import Aftermath, CommandFilter, Extent, Store
from tgtcore.testing.command_filter import COMMANDS, CommandFilterConformance
from tgtcore.testing.layer import LayerConformance, WatchedBase
from tgtcore.testing.ram import RamStore

KIB, MIB = 1024, 1024 * 1024
SECTOR = 512


class TestCrash(LayerConformance):
    persistent = True

    def make_layer(self, base: Store) -> Store:
        return Crash(base, CrashOptions())


class TestCrashWithLittleMemory(LayerConformance):
    """The oldest writes go to the base all the time."""

    persistent = True

    def make_layer(self, base: Store) -> Store:
        return Crash(base, CrashOptions(memory=MIB))


class TestCrashAsAFilterOnCommands(CommandFilterConformance):
    leaves_alone = COMMANDS

    def make_filter(self) -> CommandFilter:
        return crash(RamStore())


def crash(base: Store, memory: int = 64 * MIB) -> Crash:
    return Crash(base, CrashOptions(memory=memory))


def test_the_action_is_one_that_needs_quiet_and_ends_in_power_on() -> None:
    (action,) = Crash.actions.values()
    assert (action.name, action.pauses, action.after) == ("crash", True, Aftermath.POWER_ON)


def test_what_was_flushed_or_written_through_stays_and_the_rest_is_lost() -> None:
    base = RamStore()
    base.write(0, b"." * 64 * KIB)
    made = crash(base)
    made.write(0, b"a" * 4096)
    made.flush()
    made.write(0, b"b" * 2048)
    made.write(8192, b"c" * 4096)
    made.write_through(10240, b"d" * 512)
    made.unmap(16384, 4096)
    made.write_zeroes(20480, 4096)
    assert made.read(16384, 8192) == bytes(8192)
    assert base.content[16384:24576] == b"." * 8192
    report = made.crash(Cut())
    expected = b"a" * 4096 + b"." * 6144 + b"d" * 512 + b"." * 13824
    assert made.read(0, 24576) == base.content[:24576] == expected
    assert (report["lost_writes"], report["torn_writes"], report["kept_writes"]) == (4, 0, 0)
    assert report["ranges"] == [[0, 2048], [8192, 2048], [10752, 1536], [16384, 8192]]
    assert report["initiators"]["unknown"]["acknowledged_writes"] == 4
    figures = made.figures()
    assert (figures["crashes"], figures["unflushed_writes"], figures["unflushed_bytes"]) == (1, 0, 0)


def test_a_crash_without_anything_to_lose_costs_nothing() -> None:
    made = crash(RamStore())
    made.write(0, b"x" * 512)
    made.flush()
    report = made.crash(Cut(keep="some"))
    assert report == {
        "lost_writes": 0, "torn_writes": 0, "kept_writes": 0, "lost_bytes": 0,
        "ranges": [], "ranges_left_out": 0, "initiators": {},
    }  # fmt: skip


def test_what_is_on_the_medium_after_a_crash_stays_there() -> None:
    base = RamStore()
    made = crash(base)
    made.write(0, b"x" * 512)
    made.crash(Cut(keep="some"))
    assert base.flushes == 1


def test_an_older_write_may_be_kept_where_a_newer_one_is_lost() -> None:
    found = set()
    for seed in range(60):
        base = RamStore()
        made = crash(base)
        made.write(0, b"a" * SECTOR)
        made.write(0, b"b" * SECTOR)
        made.crash(Cut(keep="some", seed=seed))
        found.add(bytes(base.content[:SECTOR]))
    assert found == {bytes(SECTOR), b"a" * SECTOR, b"b" * SECTOR}


@pytest.mark.parametrize(
    ("block_bytes", "preferred_bytes", "options", "torn_at"),
    [
        (1, 4096, CrashOptions(), 4096),  # the physical block of a disk on such a store
        (1, 512, CrashOptions(), 512),
        (1, 64 * KIB, CrashOptions(), 4096),
        (4096, 512, CrashOptions(), 4096),
        (1, 4096, CrashOptions(sector=512), 512),
        (1, 512, CrashOptions(sector=8192), 8192),
        (2048, 4096, CrashOptions(sector=512), 2048),
    ],
)
def test_what_a_device_writes_whole_is_not_torn(
    block_bytes: int, preferred_bytes: int, options: CrashOptions, torn_at: int
) -> None:
    pieces = set()
    for seed in range(30):
        base = RamStore()
        base.block_bytes, base.preferred_bytes = block_bytes, preferred_bytes
        made = Crash(base, options)
        made.write(0, b"a" * 64 * KIB)
        made.crash(Cut(keep="some", seed=seed))
        content = bytes(base.content[: 64 * KIB])
        assert {content[at : at + torn_at] for at in range(0, 64 * KIB, torn_at)} <= {bytes(torn_at), b"a" * torn_at}
        pieces |= {len(piece) for piece in content.replace(b"\0", b" ").split()}
    assert min(pieces) == torn_at


_operations = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "write_nowait", "write_through", "unmap", "write_zeroes", "flush", "crash"]),
        st.integers(0, 30),
        st.integers(1, 8),
        st.sampled_from(["none", "some"]),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(_operations, st.integers(0, 1000))
def test_each_sector_is_what_a_device_may_leave(operations: list[tuple[str, int, int, Any]], seed: int) -> None:
    """Beside a model that knows for each sector what it was made since it was durable, the durable content first."""
    base = RamStore(40 * SECTOR)
    made = crash(base)
    model: dict[int, list[bytes]] = {sector: [bytes(SECTOR)] for sector in range(40)}
    for number, (what, first, length, keep) in enumerate(operations, 1):
        sectors = range(first, first + length)
        if what == "flush":
            made.flush()
            model = {sector: versions[-1:] for sector, versions in model.items()}
        elif what == "crash":
            made.crash(Cut(keep=keep, seed=seed))
            for sector, versions in model.items():
                found = _sector(base, sector)
                assert found in (versions if keep == "some" else versions[:1])
                versions[:] = [found]
        else:
            value = _do(made, what, sectors, number)
            for sector in sectors:
                model[sector] = [value] if what == "write_through" else [*model[sector], value]
        assert made.read(0, made.size_bytes) == b"".join(versions[-1] for versions in model.values())


def _do(made: Crash, what: str, sectors: range, number: int) -> bytes:
    offset, length = sectors.start * SECTOR, len(sectors) * SECTOR
    if what in ("unmap", "write_zeroes"):
        getattr(made, what)(offset, length)
        return bytes(SECTOR)
    assert getattr(made, what)(offset, bytes([number]) * length) in (None, True)
    return bytes([number]) * SECTOR


def _sector(base: RamStore, sector: int) -> bytes:
    return bytes(base.content[sector * SECTOR : (sector + 1) * SECTOR])


def test_where_memory_ends_the_oldest_are_on_the_medium() -> None:
    base = RamStore(4 * MIB)
    made = crash(base, MIB)
    offset = 0
    while made.write_nowait(offset, b"x" * 4096):
        offset += 4096
    assert offset > MIB // 2
    assert not any(base.content)
    made.write(offset, b"y" * 64 * KIB)
    assert made.figures()["written_early"] > 10
    made.crash(Cut())
    kept = base.content.index(0)
    assert base.content == b"x" * kept + bytes(4 * MIB - kept)
    assert kept < offset
    made.write(0, b"z" * 2 * MIB)  # more than there is memory
    assert base.content[: 2 * MIB] == b"z" * 2 * MIB
    assert made.read(0, 2 * MIB) == b"z" * 2 * MIB


def test_many_short_changes_are_bounded_too() -> None:
    base = RamStore(64 * MIB)
    made = crash(base, MIB)
    for at in range(10000):
        made.unmap(at * 4096, 4096)
    assert 0 < made.figures()["unflushed_writes"] < 4000


@pytest.mark.parametrize(
    "act", [Crash.flush, lambda made: made.crash(Cut(keep="some", seed=4))], ids=["flush", "crash"]
)
def test_a_base_that_fails_on_the_way_loses_nothing(act: Callable[[Crash], Any]) -> None:
    class Failing(WatchedBase):
        writes = 0

        def write(self, offset: int, data: Any) -> None:
            self.writes += 1
            self.fails = self.writes == 4
            super().write(offset, data)

    base = Failing(MIB)
    made = crash(base)
    dice = Random(1)
    for _ in range(40):
        made.write(dice.randrange(64) * SECTOR, dice.randbytes(8 * SECTOR))
    content = bytes(made.read(0, made.size_bytes))
    with pytest.raises(OSError, match="as the test wants"):
        act(made)
    base.fails = False
    assert made.read(0, made.size_bytes) == content
    made.flush()
    assert base.content == content
    made.close()


def test_a_size_is_not_volatile_and_what_it_cuts_off_comes_never_back() -> None:
    base = RamStore(MIB)
    made = crash(base)
    made.write(0, b"x" * MIB)
    made.resize(MIB // 2)
    made.resize(MIB)
    assert made.read(0, MIB) == b"x" * (MIB // 2) + bytes(MIB // 2)
    made.flush()
    assert base.content == b"x" * (MIB // 2) + bytes(MIB // 2)


def test_what_was_not_flushed_goes_with_what_is_beneath() -> None:
    base = RamStore()
    made = crash(base)
    made.write(0, b"x" * 512)
    base.content[:] = b"y" * base.size_bytes
    made.base_changed()
    assert made.read(0, 1024) == b"y" * 1024
    assert made.figures()["unflushed_writes"] == 0
    made.flush()
    assert base.content == b"y" * base.size_bytes


def test_extents_know_what_is_unmapped() -> None:
    made = crash(RamStore())
    made.write(0, b"x" * 4096)
    made.unmap(4096, 4096)
    made.write_zeroes(8192, 4096)
    assert [extent.allocated for extent in made.extents(0, 16384)] == [True, False, True, True]
    assert list(made.extents(0, 16384))[1] == Extent(4096, 4096, False)


def test_sectors_are_powers_of_two() -> None:
    with pytest.raises(ValidationError, match="power of two"):
        CrashOptions(sector=1000)
