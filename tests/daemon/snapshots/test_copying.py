"""Copies of snapshots of logical units that are in use."""

import asyncio
from pathlib import Path

import pytest
from daemon.conftest import Running
from daemon.reload.conftest import Host
from daemon.snapshots.conftest import X, Y, store_of

from tgtcore.daemon import Kind, Thing
from tgtcore.daemon.audience import Audience, heard_by
from tgtcore.daemon.copying import Copying, clone_snapshot
from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.snapshots import create_snapshot
from tgtcore.errors import Draining, NotThere, StoreError, Unsupported
from tgtcore.testing.ram import SnapshotRamStore

pytestmark = pytest.mark.asyncio


def unit_of(running: Running, name: str = "a") -> Unit:
    return running.daemon.inventory.units[name]


def content_of(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


async def started(running: Running, path: Path) -> "asyncio.Task[object]":
    """A copy of the snapshot ``one`` that waits in its second half."""
    store = store_of(running)
    begun = store.gate("second half")
    copy = asyncio.ensure_future(clone_snapshot(unit_of(running), "one", path, 10))
    assert await asyncio.to_thread(begun.wait, 10)
    return copy


@pytest.fixture
def path(running: Running, tmp_path: Path) -> Path:
    store = store_of(running)
    store.write(0, X)
    store.create_snapshot("one")
    store.write(0, Y)
    return tmp_path / "copy"


async def test_a_copy_holds_what_the_snapshot_holds(running: Running, path: Path) -> None:
    snapshot = await clone_snapshot(unit_of(running), "1", path, 10)
    assert snapshot.name == "one"
    assert content_of(path)[:512] == X
    assert store_of(running).calls[-1] == "end of the copy"
    assert len(unit_of(running).lu.leases) == 0


async def test_commands_go_on_meanwhile_and_it_is_seen_who_copies(running: Running, host: Host, path: Path) -> None:
    copy = await started(running, path)
    await host.write(X)
    assert await host.read() == X
    holders = [one.name for one in unit_of(running).lu.leases.holders()]
    assert "a copy of snapshot one" in holders
    store_of(running).open()
    await copy


async def test_it_waits_for_the_end_of_a_pause(running: Running, host: Host, path: Path) -> None:
    copy = await started(running, path)
    keeping = asyncio.ensure_future(create_snapshot(unit_of(running), lambda taken: "two", 10))
    async with asyncio.timeout(10):
        while unit_of(running).lu.pause is None:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    store = store_of(running)
    gate = store.gate("create")
    store.gates.pop("second half").set()
    assert await asyncio.to_thread(gate.wait, 10)
    assert unit_of(running).lu.pause is not None
    assert not copy.done()
    store.open()
    await keeping
    await copy
    assert content_of(path)


async def test_it_is_given_up_with_its_logical_unit(running: Running, path: Path) -> None:
    copy = await started(running, path)
    draining = asyncio.ensure_future(running.daemon.drain(Thing(Kind.LOGICAL_UNIT, "a"), 10))
    await asyncio.sleep(0)
    store_of(running).open()
    with pytest.raises(Draining, match="a copy of snapshot one of logical unit a may not start"):
        await copy
    await draining
    assert store_of(running).calls[-1] == "end of the copy"


async def test_it_is_given_up_when_nobody_waits_any_more(
    running: Running, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgtcore.daemon.copying._PROGRESS_S", 0)
    told: list[tuple[int, int]] = []

    def tell(news: object) -> None:
        assert isinstance(news, Copying)
        told.append((news.done_bytes, news.total_bytes))

    with (
        heard_by(Audience(tell, lambda: bool(told))),
        pytest.raises(StoreError, match="nobody waits for it any more"),
    ):
        await clone_snapshot(unit_of(running), "one", path, 10)
    assert told == [(1 << 19, 1 << 20)]
    assert not content_of(path)


async def test_a_cancelled_one_ends_when_its_step_has(running: Running, path: Path) -> None:
    copy = await started(running, path)
    copy.cancel()
    await asyncio.sleep(0)
    assert not copy.done()
    store_of(running).open()
    with pytest.raises(asyncio.CancelledError):
        await copy
    assert store_of(running).calls[-1] == "end of the copy"
    assert len(unit_of(running).lu.leases) == 0


async def test_what_the_store_raises_is_told(running: Running, path: Path) -> None:
    store_of(running).failure = OSError(28, "No space left on device")
    with pytest.raises(StoreError, match="logical unit a: no space left on device"):
        await clone_snapshot(unit_of(running), "one", path, 10)
    store_of(running).failure = None
    with pytest.raises(NotThere, match='has no snapshot "two"'):
        await clone_snapshot(unit_of(running), "two", path, 10)


async def test_a_store_that_can_not_copy_says_so(running: Running, path: Path) -> None:
    unit = unit_of(running)
    assert unit.stack is not None
    unit.stack.stores.append(SnapshotRamStore())
    with pytest.raises(Unsupported, match="logical unit a has a store that keeps snapshots, but can't copy them"):
        await clone_snapshot(unit, "one", path, 10)
    unit.stack.stores.pop()
