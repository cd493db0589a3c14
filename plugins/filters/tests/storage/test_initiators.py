"""Who is to blame, by name: initiators, a disk, and the filter in both of its places."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tgtcore_disk import Disk, DiskOptions
from tgtcore_filters.storage.crash import Crash, CrashOptions
from tgtcore_filters.storage.initiators import Initiators
from tgtcore_filters.storage.power_cut import Cut

from tgtcore.testing.initiator import Bench, MemoryTask, bench
from tgtcore.testing.ram import RamStore

BLOCK = 512
GOOD, CAREFUL, CARELESS = "iqn.2025-01.example:good", "iqn.2025-01.example:careful", "iqn.2025-01.example:careless"
_SYNCHRONIZE_CACHE = "35 00 00000000 00 0000 00"


@pytest.fixture
def base() -> RamStore:
    return RamStore(16 * 1024 * 1024)


@pytest.fixture
def made(base: RamStore) -> Iterator[Bench]:
    with bench() as made:
        made.add(Disk, Crash(base, CrashOptions()), DiskOptions())
        made.lus[0].set_filters((_filter(made),), lambda *_: None, made.loop)
        yield made


def _filter(made: Bench) -> Crash:
    store = made.lus[0].store
    assert store is not None
    assert isinstance(store.store, Crash)
    return store.store


def _write(lba: int, blocks: int = 1, *, fua: bool = False) -> tuple[str, bytes]:
    return f"2A {8 * fua:02x} {lba:08x} 00 {blocks:04x} 00", b"x" * blocks * BLOCK


def test_an_initiator_that_never_flushes_is_caught_by_name(made: Bench) -> None:
    good, careful, careless = (made.initiator(name) for name in (GOOD, CAREFUL, CARELESS))
    good.execute(*_write(0))
    good.execute(_SYNCHRONIZE_CACHE)
    careful.execute(*_write(100, fua=True))
    careless.execute(*_write(200, 4))
    careless.execute(*_write(300, 4))
    figures = _filter(made).figures()
    assert figures["never_flushed"] == [CARELESS]
    about = figures["initiators"]
    assert (about[GOOD]["writes"], about[GOOD]["flushes"], about[GOOD]["unflushed_writes"]) == (1, 1, 0)
    assert (about[CAREFUL]["writes"], about[CAREFUL]["written_through"]) == (0, 1)
    assert (about[CARELESS]["unflushed_writes"], about[CARELESS]["unflushed_bytes"]) == (2, 8 * BLOCK)
    assert 0 <= about[CARELESS]["oldest_s"] < 60
    report = _filter(made).crash(Cut())
    assert report["lost_writes"] == 2
    assert list(report["initiators"]) == [CARELESS]
    assert report["initiators"][CARELESS]["acknowledged_writes"] == 2
    assert report["initiators"][CARELESS]["flushes"] == 0
    assert _filter(made).figures()["initiators"][CARELESS]["unflushed_bytes"] == 0


def test_who_relies_on_the_flushes_of_others_has_never_flushed(made: Bench) -> None:
    good, careless = made.initiator(GOOD), made.initiator(CARELESS)
    careless.execute(*_write(200))
    good.execute(_SYNCHRONIZE_CACHE)
    assert _filter(made).figures()["never_flushed"] == [CARELESS]
    assert _filter(made).crash(Cut())["initiators"] == {}


def test_reads_of_a_range_are_not_to_blame_for_its_writes(made: Bench, base: RamStore) -> None:
    writer, reader = made.initiator(CARELESS), made.initiator(GOOD)
    reader.execute(f"28 00 {0:08x} 00 0008 00")
    writer.execute(*_write(0))
    reader.execute(f"28 00 {0:08x} 00 0008 00")
    assert set(_filter(made).figures()["initiators"]) == {CARELESS}


@pytest.mark.parametrize(
    ("cdb", "data_out", "length"),
    [
        ("41 08 00000010 00 0040 00", bytes(BLOCK), 64 * BLOCK),
        ("93 00 0000000000000010 00000040 00 00", b"y" * BLOCK, 64 * BLOCK),
        (
            "42 00 00 00 00 00 00 0018 00",
            bytes.fromhex("0016 0010 00000000 0000000000000010 00000040 00000000"),
            64 * BLOCK,
        ),
        ("89 00 0000000000000010 000000 01 00 00", bytes(BLOCK) + b"z" * BLOCK, BLOCK),
    ],
    ids=["write same unmap", "write same", "unmap", "compare and write"],
)
def test_every_way_of_writing_has_a_writer(made: Bench, cdb: str, data_out: bytes, length: int) -> None:
    result = made.initiator(CARELESS).execute(cdb, data_out)
    assert result.status == 0, result.code
    about: dict[str, Any] = _filter(made).figures()["initiators"]
    assert set(about) == {CARELESS}
    assert about[CARELESS]["unflushed_bytes"] == length


def test_a_failed_write_was_not_acknowledged(made: Bench, base: RamStore) -> None:
    """Half of it is in the store when it fails."""
    crash = _filter(made)
    write, calls = crash.write, iter(range(10))

    def failing(offset: int, data: Any) -> None:
        if next(calls):
            raise OSError(5, "it fails")
        write(offset, data)

    crash.write = failing  # type: ignore[method-assign]
    result = made.initiator(CARELESS).execute("93 00 0000000000000000 00004000 00 00", b"y" * BLOCK)
    assert result.status == 2
    entry = crash.crash(Cut())["initiators"][CARELESS]
    assert (entry["acknowledged_writes"], entry["other_writes"]) == (0, 1)


def test_of_commands_under_way_the_last_one_that_may_write_has_written(made: Bench) -> None:
    one, other, reader = (made.initiator(name) for name in (GOOD, CARELESS, "iqn.2025-01.example:reader"))
    device: Any = SimpleNamespace(
        block_bytes=BLOCK, addressed=lambda task: (range(task.cdb[5], task.cdb[5] + task.cdb[8]),)
    )
    initiators = Initiators()
    for initiator, cdb, data in (
        (one, *_write(0, 8)),
        (other, *_write(4, 8)),
        (reader, f"28 00 {0:08x} 00 0010 00", b""),
    ):
        raw = bytes.fromhex(cdb)
        initiators.command(MemoryTask(initiator.nexus, 0, 1, 0, raw, data, 0), device)
    names = [
        initiators.writer(block * BLOCK, length * BLOCK).initiator.name
        for block, length in ((0, 4), (4, 4), (8, 4), (4, 8))
    ]
    assert names == [GOOD, CARELESS, CARELESS, CARELESS]
    assert initiators.writer(0, 16 * BLOCK).initiator.name == "unknown"


def test_only_so_many_initiators_are_remembered(made: Bench) -> None:
    dirty = made.initiator(CARELESS)
    dirty.execute(*_write(0))
    for number in range(300):
        made.initiator(f"iqn.2025-01.example:{number}").execute(*_write(1, fua=True))
    about = _filter(made).figures()["initiators"]
    assert len(about) <= 257
    assert about[CARELESS]["unflushed_writes"] == 1
