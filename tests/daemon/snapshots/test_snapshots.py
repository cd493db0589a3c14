"""Snapshots of logical units that initiators use meanwhile."""

import asyncio

import pytest
from daemon.conftest import Running, TimePasses
from daemon.reload.conftest import Host, attentions, finished
from daemon.snapshots.conftest import X, Y, store_of

from tgtcore.daemon import Kind, Thing
from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.snapshots import create_snapshot, delete_snapshot, list_snapshots, revert_snapshot
from tgtcore.errors import ConfigError, Draining, DrainTimeout, InUse, NotThere, ReadOnly, StoreError, Unsupported
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.task import State
from tgtcore.testing.waiting import until_async

pytestmark = pytest.mark.asyncio

LAST = 2047
WRITE_LAST = f"2a 00 {LAST:08x} 00 0001"


def unit_of(running: Running, name: str = "a") -> Unit:
    return running.daemon.inventory.units[name]


async def keep(running: Running, name: str = "one", unit: str = "a", timeout_s: float = 10) -> float:
    done = await create_snapshot(unit_of(running, unit), lambda taken: name, timeout_s)
    assert done.snapshot.name == name
    return done.paused_s


async def begun(running: Running, call: str, unit: str = "a") -> None:
    assert await asyncio.to_thread(store_of(running, unit).begun[call].wait, 10)


async def test_a_snapshot_holds_what_was_there(running: Running, host: Host) -> None:
    await host.write(X)
    assert await keep(running) >= 0
    await host.write(Y)
    (made,) = await list_snapshots(unit_of(running), 10)
    assert (made.name, made.size_bytes) == ("one", 1 << 20)
    assert store_of(running).snapshots[made][:512] == X
    assert await host.read() == Y
    assert attentions(host) == []


async def test_all_that_was_acknowledged_is_flushed_into_it(running: Running, host: Host) -> None:
    store = store_of(running)
    await host.write(X)
    store.calls.clear()
    await keep(running)
    assert store.calls == ["flush", "flush", "create"]


async def test_a_command_that_runs_ends_before_it(running: Running, host: Host) -> None:
    store = store_of(running)
    store.gate("write")
    command = host.start("2a 00 00000000 00 0001", X, held=False)
    await begun(running, "write")
    making = asyncio.ensure_future(keep(running))
    await asyncio.sleep(0)
    store.open()
    await making
    assert (await finished(command)).status == Status.GOOD
    (held,) = store.snapshots.values()
    assert held[:512] == X


async def test_a_command_that_comes_later_is_not_in_it(running: Running, host: Host) -> None:
    store = store_of(running)
    await host.write(X)
    store.gate("create")
    making = asyncio.ensure_future(keep(running))
    await begun(running, "create")
    late = host.start("2a 00 00000000 00 0001", Y, held=False)
    other = await host.run("28 00 00000000 00 0001", lun=1)
    assert other.status == Status.GOOD, "the pause is of one logical unit"
    assert late.state is State.DORMANT
    store.open()
    assert await making > 0
    assert (await finished(late)).status == Status.GOOD
    (held,) = store.snapshots.values()
    assert held[:512] == X
    assert await host.read() == Y


async def test_a_command_that_takes_too_long_prevents_it(running: Running, host: Host, time_passes: TimePasses) -> None:
    store = store_of(running)
    store.gate("write")
    command = host.start("2a 00 00000000 00 0001", X, held=False)
    await begun(running, "write")
    making = asyncio.ensure_future(keep(running))
    await until_async(lambda: unit_of(running).lu.pause)
    time_passes(10)
    with pytest.raises(DrainTimeout, match="logical unit a was still busy after"):
        await making
    store.open()
    assert (await finished(command)).status == Status.GOOD
    assert "create" not in store.calls
    await keep(running)


async def test_a_flush_that_takes_too_long_prevents_it(running: Running, host: Host) -> None:
    store = store_of(running)
    store.gate("flush")
    with pytest.raises(DrainTimeout, match=r"has not begun after 0.05 s: its store takes long to flush"):
        await keep(running, timeout_s=0.05)
    assert unit_of(running).lu.pause is None
    store.open()
    await host.write(X)
    assert store.snapshots == {}


async def test_one_that_hangs_goes_on_by_itself(
    running: Running, host: Host, time_passes: TimePasses, caplog: pytest.LogCaptureFixture
) -> None:
    store = store_of(running)
    store.gate("create")
    making = asyncio.ensure_future(keep(running))
    await begun(running, "create")
    time_passes(10)
    with pytest.raises(DrainTimeout, match=r"a snapshot of logical unit a has not ended after .* its store hangs"):
        await making
    late = host.start("2a 00 00000000 00 0001", X, held=False)
    assert late.state is State.DORMANT
    caplog.set_level("INFO")
    store.open()
    assert (await finished(late)).status == Status.GOOD
    assert "a snapshot of logical unit a has ended now" in caplog.text
    assert [one.name for one in store.snapshots] == ["one"]


async def test_whoever_gives_up_leaves_it_whole(running: Running, host: Host) -> None:
    store = store_of(running)
    store.gate("create")
    making = asyncio.ensure_future(keep(running))
    await begun(running, "create")
    making.cancel()
    await asyncio.gather(making, return_exceptions=True)
    store.open()
    await host.write(X)
    assert [one.name for one in store.snapshots] == ["one"]


async def test_what_the_store_raises_is_told_and_everything_goes_on(running: Running, host: Host) -> None:
    store = store_of(running)
    store.failure = OSError(28, "No space left on device")
    with pytest.raises(StoreError, match="logical unit a: no space left on device"):
        await keep(running)
    store.failure = ZeroDivisionError("oops")
    with pytest.raises(StoreError, match="logical unit a failed inside: ZeroDivisionError: oops"):
        await keep(running)
    store.failure = None
    await host.write(X)
    await keep(running)
    with pytest.raises(StoreError, match='logical unit a: there is a snapshot "one" already'):
        await keep(running)


async def test_the_uppermost_store_that_keeps_snapshots_is_asked(running: Running, host: Host) -> None:
    await host.write(X, lun=1)
    await keep(running, unit="b")
    assert [held[:512] for held in store_of(running, "b").snapshots.values()] == [X]


@pytest.mark.parametrize(
    ("unit", "error", "message"),
    [
        ("c", Unsupported, "logical unit c has no store that keeps snapshots"),
        ("d", ReadOnly, "logical unit d is read-only"),
    ],
)
async def test_where_none_can_be_kept_they_are_refused(
    running: Running, unit: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await keep(running, unit=unit)
    for act in (delete_snapshot, revert_snapshot):
        with pytest.raises(error, match=message):
            await act(unit_of(running, unit), "one", 10)


async def test_those_of_a_read_only_unit_are_listed(running: Running) -> None:
    made = store_of(running, "d").create_snapshot("from before")
    assert await list_snapshots(unit_of(running, "d"), 10) == [made]
    with pytest.raises(Unsupported):
        await list_snapshots(unit_of(running, "c"), 10)


async def test_a_snapshot_is_deleted(running: Running, host: Host) -> None:
    await host.write(X)
    await keep(running, "one")
    await keep(running, "two")
    assert (await delete_snapshot(unit_of(running), "one", 10)).name == "one"
    assert [one.name for one in await list_snapshots(unit_of(running), 10)] == ["two"]
    assert (await delete_snapshot(unit_of(running), "2", 10)).name == "two"
    assert await host.read() == X


async def test_a_deletion_that_takes_long_goes_on_by_itself(running: Running) -> None:
    store = store_of(running)
    await keep(running)
    store.gate("delete")
    with pytest.raises(
        DrainTimeout, match=r"deletion of a snapshot of logical unit a has not ended after 0.05 s; it goes on"
    ):
        await delete_snapshot(unit_of(running), "one", 0.05)
    store.open()
    assert await list_snapshots(unit_of(running), 10) == []


async def test_commands_go_on_while_one_is_deleted(
    running: Running, host: Host, time_passes: TimePasses, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(running)
    await keep(running)
    store.gate("delete")
    deleting = asyncio.ensure_future(delete_snapshot(unit_of(running), "one", 1000))
    await begun(running, "delete")
    await host.write(X)
    assert await host.read() == X
    waits = asyncio.Event()
    changing = unit_of(running).lu.changing
    acquire = changing.acquire
    monkeypatch.setattr(changing, "acquire", lambda: waits.set() or acquire())
    making = asyncio.ensure_future(keep(running, "two"))
    await until_async(waits.is_set)
    time_passes(10)
    with pytest.raises(DrainTimeout, match=r"still busy after .* s with: the deletion of snapshot one"):
        await making
    store.open()
    await deleting
    assert store.snapshots == {}


@pytest.mark.parametrize("act", [delete_snapshot, revert_snapshot])
async def test_what_is_not_there_is_told_without_a_pause(running: Running, act: object) -> None:
    store = store_of(running)
    with pytest.raises(NotThere, match='logical unit a has no snapshot "two"; see: tgtadm snapshot list a'):
        await act(unit_of(running), "two", 10)  # type: ignore[operator]
    assert store.calls == []


async def test_of_several_with_one_name_an_id_is_wanted(running: Running) -> None:
    store = store_of(running)
    first = store.create_snapshot("one")
    store.snapshots[first._replace(id="7")] = bytes(store.size_bytes)
    with pytest.raises(StoreError, match='2 snapshots called "one"; expected an id: 1, 7'):
        await delete_snapshot(unit_of(running), "one", 10)
    await delete_snapshot(unit_of(running), "7", 10)
    assert list(store.snapshots) == [first]


async def test_without_initiators_a_unit_goes_back(running: Running) -> None:
    store = store_of(running)
    store.write(0, X)
    await keep(running)
    store.write(0, Y)
    done = await revert_snapshot(unit_of(running), "one", 10)
    assert done.snapshot.name == "one"
    assert store.content[:512] == X
    host = Host(running)
    assert await host.read() == X


async def test_while_initiators_have_it_it_does_not_go_back(running: Running, host: Host) -> None:
    await keep(running)
    await host.write(Y)
    with pytest.raises(InUse, match=r"while initiators have it: nexus host -> t.one,1; let them log out"):
        await revert_snapshot(unit_of(running), "one", 10)
    assert await host.read() == Y


async def test_one_who_logs_in_just_before_is_not_surprised(running: Running) -> None:
    store = store_of(running)
    await keep(running)
    store.write(0, Y)
    store.gate("flush")
    going_back = asyncio.ensure_future(revert_snapshot(unit_of(running), "one", 10))
    await begun(running, "flush")
    host = Host(running)
    store.open()
    with pytest.raises(InUse, match="nexus host"):
        await going_back
    assert await host.read() == Y


async def test_space_has_time_to_be_given_back_when_it_went_back(running: Running, host: Host) -> None:
    store = store_of(running)
    await keep(running)
    store.calls.clear()
    await revert_snapshot(unit_of(running), "one", 10, force=True)
    assert store.calls == ["flush", "flush", "revert", "flush"]


async def test_initiators_are_told_when_it_goes_back_all_the_same(running: Running, host: Host) -> None:
    await host.write(X)
    await keep(running)
    await host.write(Y)
    await revert_snapshot(unit_of(running), "one", 10, force=True)
    told = await host.run("28 00 00000000 00 0001")
    assert told.status == Status.CHECK_CONDITION
    assert parse_sense(told.sense).key == SenseKey.UNIT_ATTENTION
    assert parse_sense(told.sense).code == asc.MEDIUM_MAY_HAVE_CHANGED
    assert await host.read() == X
    assert attentions(host) == []


async def test_the_size_of_the_snapshot_comes_back(running: Running, host: Host) -> None:
    await keep(running)
    await unit_of(running).lu.resize(2 << 20)
    assert attentions(host).pop() == asc.CAPACITY_DATA_HAS_CHANGED
    assert (await host.run("00")).status == Status.CHECK_CONDITION
    beyond = host.start(f"2a 00 {2 * LAST:08x} 00 0001", Y)
    assert beyond.state is State.DATA
    await revert_snapshot(unit_of(running), "one", 10, force=True)
    assert attentions(host) == [asc.MEDIUM_MAY_HAVE_CHANGED, asc.CAPACITY_DATA_HAS_CHANGED]
    beyond.give()
    await finished(beyond)
    assert parse_sense(beyond.sense).code == asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    for _ in range(2):
        await host.run("00")
    capacity = await host.run("25")
    assert int.from_bytes(capacity.data_in[:4], "big") == LAST


async def test_a_size_that_the_device_can_not_have_is_refused(running: Running) -> None:
    store = store_of(running)
    store.write(0, Y)
    odd = store.create_snapshot("odd")
    store.snapshots[odd._replace(size_bytes=1000)] = store.snapshots.pop(odd)
    with pytest.raises(ConfigError, match="logical unit a: its size is 1000 bytes"):
        await revert_snapshot(unit_of(running), "odd", 10)
    assert "revert" not in store.calls
    assert store.content[:512] == Y


async def test_after_a_failure_initiators_are_told_too(running: Running, host: Host) -> None:
    await keep(running)
    store_of(running).failure = OSError(5, "Input/output error")
    with pytest.raises(StoreError, match=r"logical unit a: .*[Ii]nput/output error"):
        await revert_snapshot(unit_of(running), "one", 10, force=True)
    assert attentions(host) == [asc.MEDIUM_MAY_HAVE_CHANGED]


async def test_beneath_another_store_it_does_not_go_back(running: Running) -> None:
    await keep(running, unit="b")
    with pytest.raises(StoreError, match="can't go back to a snapshot: clear stands on keeps and would not notice"):
        await revert_snapshot(unit_of(running, "b"), "one", 10)


async def test_a_unit_that_goes_away_waits_for_its_snapshot(running: Running) -> None:
    store = store_of(running)
    store.gate("create")
    making = asyncio.ensure_future(keep(running))
    await begun(running, "create")

    def edit(document: dict[str, object]) -> None:
        del document["targets"]
        del document["logical_units"]["a"]  # type: ignore[attr-defined]

    unit = unit_of(running)
    leaving = asyncio.ensure_future(running.daemon.remove(Thing(Kind.LOGICAL_UNIT, "a"), edit))
    await asyncio.wait({leaving}, timeout=0.1)
    assert not store.closed
    with pytest.raises(Draining):
        await list_snapshots(unit, 10)
    store.open()
    await making
    await leaving
    assert store.closed
    assert [one.name for one in store.snapshots] == ["one"]


async def test_snapshots_at_the_same_time_follow_each_other(running: Running) -> None:
    await asyncio.gather(*(keep(running, name) for name in ("one", "two", "three")))
    listed, _ = await asyncio.gather(list_snapshots(unit_of(running), 10), keep(running, "four"))
    assert {"one", "two", "three"} <= {one.name for one in listed}
    assert len(store_of(running).snapshots) == 4
    assert unit_of(running).jobs() == []
