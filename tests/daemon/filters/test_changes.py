"""Filters come and go while their logical unit is in use: its content stays, and so do the filters that are not changed."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from daemon.conftest import Running, Start
from daemon.filters.conftest import CONFIG, have, memory, named
from daemon.reload.conftest import Host, X, Y, attentions, finished, real
from support.fake_filters import Noted, filtering
from support.fakes import FakeStore

from tgtcore.daemon import Step
from tgtcore.daemon.compare import Action
from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.things import Kind
from tgtcore.errors import StoreError, TgtError
from tgtcore.scsi import asc
from tgtcore.scsi.status import Status
from tgtcore.task import State
from tgtcore.testing.initiator import forget_attentions

pytestmark = pytest.mark.asyncio

READ, START = "28 00 00000000 00 0001", "1b"


@contextmanager
def little_time(running: Running) -> Iterator[None]:
    """Who has to wait for something gives up soon."""
    inventory = running.daemon.inventory
    usual_s, inventory.drain_s = inventory.drain_s, 0.2
    yield
    inventory.drain_s = usual_s


async def test_filters_of_the_configuration_are_there_from_the_start(start: Start) -> None:
    text = CONFIG.replace(
        "filters = []", 'filters = [{ type = "hold" }, { type = "layer", tag = "x" }, { type = "both" }]'
    )
    running = await start(text, real(), filtering())
    unit = running.daemon.inventory.units["a"]
    hold, layer, both = named(unit).values()
    assert unit.stack is not None
    assert unit.stack.stores[1:] == [both, layer]
    assert unit.lu.filters is not None
    assert unit.lu.filters.present == (hold, both)
    assert (layer.options.tag, layer.base, both.base) == ("x", both, unit.stack.stores[0])


async def test_filters_in_the_key_store_see_commands_too(running: Running, host: Host) -> None:
    unit = running.daemon.inventory.units["b"]
    assert unit.stack is not None
    both: Any = unit.stack.top
    assert unit.lu.filters is not None
    assert unit.lu.filters.present == (both,)
    await host.read(lun=1)
    assert both.commands == 1


async def test_a_disk_without_filters_has_nothing_of_them(unit: Unit) -> None:
    assert unit.lu.filters is None
    assert unit.filters == ()


async def test_filters_on_commands_come_and_go_without_a_pause(
    running: Running, host: Host, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgtcore.daemon.filters.Pause", None)
    was = unit.store
    await have(running, "hold")
    held = host.start(READ)
    assert held.state is State.HELD
    await have(running)
    assert (await finished(held)).status == Status.GOOD
    assert unit.store is was
    assert unit.lu.filters is None
    assert [one.closed for one in Noted.made] == [0, 0, 1]  # those of b stay


async def test_a_filter_that_is_not_changed_stays_with_what_it_has(running: Running, host: Host, unit: Unit) -> None:
    await have(running, "hold", "layer", '{ type = "layer", name = "low" }')
    before = named(unit)
    held = host.start(READ)
    await have(running, "hold", '{ type = "layer", tag = "new" }', '{ type = "layer", name = "low" }', "power")
    after = named(unit)
    assert after["hold"] is before["hold"]
    assert after["hold"].held == (held,)
    assert not {before["layer"], before["low"]} & {after["layer"], after["low"]}  # they stand on something else now
    await have(running, '{ type = "layer", name = "low" }', "power", "hold")
    assert named(unit)["power"] is after["power"]
    assert named(unit)["hold"] is before["hold"]
    await have(running, '{ type = "layer", name = "top" }', '{ type = "layer", name = "low" }', "power")
    assert named(unit)["low"].closed == 0
    assert (await finished(held)).status == Status.GOOD
    assert [one.closed for one in (*before.values(), *after.values())].count(1) == 5


MOVER, TOP = '{ type = "mover" }', '{ type = "mover", name = "top" }'


async def test_filters_that_can_move_stay_when_others_come_and_go_beneath(
    running: Running, host: Host, unit: Unit
) -> None:
    await have(running, TOP, MOVER)
    top, mover = named(unit).values()
    await host.write(X)
    await have(running, TOP, MOVER, "layer")
    layer = named(unit)["layer"]
    assert list(named(unit).values()) == [top, mover, layer]
    assert (top.base, mover.base, layer.base) == (mover, layer, unit.stack and unit.stack.stores[0])
    assert await host.read() == X
    await host.write(Y)
    await have(running, MOVER, TOP)
    assert list(named(unit).values()) == [mover, top]
    assert (mover.base, top.base) == (top, unit.stack and unit.stack.stores[0])
    assert (top.closed, mover.closed, layer.closed) == (0, 0, 1)
    assert bytes(memory(unit)[:512]) == Y


@pytest.mark.parametrize(
    "failing",
    ['{ type = "layer", fails = true }', '{ type = "layer", tag = "alone" }, { type = "layer", name = "low" }'],
)
async def test_filters_that_have_moved_move_back_after_a_failure(
    running: Running, host: Host, unit: Unit, failing: str
) -> None:
    await have(running, MOVER, '{ type = "layer", name = "low" }')
    mover, low = named(unit).values()
    with pytest.raises(StoreError, match=r"a: filter (layer|mover): (input/output error|device or resource busy)"):
        await have(running, MOVER, failing)
    assert named(unit) == {"mover": mover, "low": low}
    assert (mover.base, low.base) == (low, unit.stack and unit.stack.stores[0])
    await host.write(X)
    await have(running)
    assert bytes(memory(unit)[:512]) == X


async def test_one_that_can_not_move_back_is_a_defect_that_is_logged(
    running: Running, unit: Unit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await have(running, MOVER)

    def refuse(*_: Any) -> None:
        monkeypatch.setattr("support.fake_filters.Mover.stand_on", lambda self, base: 1 / 0)
        raise ValueError("not on this")

    monkeypatch.setattr(type(unit.lu.device), "take_over", refuse)
    with pytest.raises(StoreError, match="not on this"):
        await have(running, MOVER, "layer")
    assert "logical unit a: a filter can't stand where it stood before" in caplog.text
    assert Noted.made[-1].closed


async def test_filters_that_have_moved_move_back_when_the_device_refuses(
    running: Running, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await have(running, MOVER)
    (mover,) = named(unit).values()

    def refuse(*_: Any) -> None:
        raise ValueError("not on this")

    monkeypatch.setattr(type(unit.lu.device), "take_over", refuse)
    with pytest.raises(StoreError, match="not on this"):
        await have(running, MOVER, "layer")
    assert mover.base is (unit.stack and unit.stack.stores[0])
    assert Noted.made[-1].closed


@pytest.mark.parametrize("wanted", [["layer"], [], ['{ type = "stuck", tag = "less" }']])
async def test_a_filter_that_goes_does_nothing_to_what_is_flushed_before(
    running: Running, host: Host, unit: Unit, wanted: list[str]
) -> None:
    await have(running, "layer", "stuck")
    await host.write(X)
    await have(running, *wanted)
    assert bytes(memory(unit)[:512]) == X


async def test_a_filter_that_can_not_go_after_all_does_its_work(
    running: Running, host: Host, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await have(running, "layer", "stuck")
    await host.write(X)
    stuck = named(unit)["stuck"]
    async with unit.lu.changing:
        with little_time(running), pytest.raises(TgtError, match=r"has not begun after|still busy after"):
            await have(running)
    assert not stuck.aside
    with pytest.raises(StoreError, match=r"filter layer: input/output error"):
        await have(running, '{ type = "layer", fails = true }')
    assert not stuck.aside
    await host.write(Y)
    monkeypatch.setattr(stuck, "flush", lambda: stuck.write(0, Y))
    monkeypatch.setattr(stuck, "stand_aside", lambda aside: None)
    with pytest.raises(StoreError, match="stays as it is, its store can't be flushed"):
        await have(running)
    assert named(unit)["stuck"] is stuck


async def test_content_outlives_filters_on_storage_calls(running: Running, host: Host, unit: Unit) -> None:
    store = memory(unit)
    await host.write(X)
    await have(running, "layer")
    assert await host.read() == X
    await host.write(Y)
    assert bytes(store[:512]) == X
    await have(running)
    assert memory(unit) is store
    assert bytes(store[:512]) == Y
    assert await host.read() == Y
    assert FakeStore.opened[0].closed is False


async def test_commands_wait_while_the_stack_changes(running: Running, host: Host, unit: Unit) -> None:
    await have(running, "layer")
    layer = named(unit)["layer"]
    layer.flush, flushed = lambda: flushed.append(host.start("2a 00 00000000 00 0001", X, held=False)), list[Any]()
    await have(running)
    assert [(await finished(write)).status for write in flushed] == [Status.GOOD] * len(flushed)
    assert len(flushed) == 2
    assert bytes(memory(unit)[:512]) == X


async def test_initiators_are_told_what_they_see_change(running: Running, host: Host, unit: Unit) -> None:
    await have(running, "fewer")
    assert asc.INQUIRY_DATA_HAS_CHANGED in attentions(host)
    forget_attentions(host.nexus)
    assert (await host.run("2a 00 00000000 00 0001", X)).sense[2] & 15 == 7
    assert unit.store is not None
    assert not unit.store.writable


@pytest.mark.parametrize("failing", ['{ type = "hold", fails = true }', '{ type = "layer", fails = true }'])
async def test_all_or_nothing(running: Running, host: Host, unit: Unit, failing: str) -> None:
    await have(running, "layer", '{ type = "hold", name = "h" }')
    before, store = named(unit), unit.store
    with pytest.raises(StoreError, match=r"logical unit a: filter .*: input/output error"):
        await have(running, failing, '{ type = "layer", name = "new" }', '{ type = "hold", name = "other" }')
    assert named(unit) == before
    assert unit.store is store
    assert not any(one.closed for one in before.values())
    assert all(one.closed for one in Noted.made[2:] if one not in before.values())
    assert [one.name for one in running.daemon.config.logical_units["a"].filters] == ["layer", "h"]
    await host.write(X)
    await have(running, "layer", '{ type = "hold", name = "h" }', "power")
    assert bytes(memory(unit)[:512]) == X


async def test_what_a_device_refuses_changes_nothing(
    running: Running, host: Host, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("not on this")

    before = unit.store
    monkeypatch.setattr(type(unit.lu.device), "take_over", refuse)
    with pytest.raises(StoreError, match="logical unit a can't work with these filters: not on this"):
        await have(running, "layer")
    assert (unit.store, unit.filters) == (before, ())
    assert [one.closed for one in Noted.made] == [0, 0, 1]  # those of b stay
    await host.write(X)


async def test_what_can_not_be_flushed_stays(running: Running, unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    await have(running, "layer")
    layer = named(unit)["layer"]

    def fail() -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(layer, "flush", fail)
    with pytest.raises(StoreError, match="stays as it is, its store can't be flushed"):
        await have(running)
    assert named(unit)["layer"] is layer
    assert unit.lu.pause is None


async def test_a_command_that_runs_too_long_keeps_the_filters(running: Running, host: Host, unit: Unit) -> None:
    await have(running, "layer")
    layer = named(unit)["layer"]
    gate, begun = threading.Event(), threading.Event()

    def slowly(offset: int, length: int) -> bytes:
        begun.set()
        assert gate.wait(10)
        return b"r" * length

    assert unit.store is not None
    unit.store.read = slowly
    command = host.start(READ)
    assert await asyncio.to_thread(begun.wait, 10)
    said = r"has not begun after 0\.2 s|still busy after 0\.2 s"
    with little_time(running), pytest.raises(TgtError, match=said):
        await have(running)
    assert named(unit)["layer"] is layer
    gate.set()
    assert (await finished(command)).data_in == b"r" * 512


async def test_another_change_that_takes_long_keeps_the_filters(running: Running, unit: Unit) -> None:
    said = r"has not begun after 0\.2 s: something else is changed there"
    async with unit.lu.changing:
        with little_time(running), pytest.raises(TgtError, match=said):
            await have(running, "hold")
    assert unit.filters == ()
    await have(running, "hold")
    assert list(named(unit)) == ["hold"]
    assert not unit.lu.changing.locked()


async def test_a_device_that_hands_nothing_over_keeps_its_stack(
    running: Running, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit.lu.device, "hands_over", False)
    with pytest.raises(StoreError, match="can't come or go while it is in use"):
        await have(running, "layer")
    await have(running, "hold")
    assert list(named(unit)) == ["hold"]


async def test_a_change_is_one_step(running: Running) -> None:
    changed = await running.apply(("filters = []", 'filters = [{ type = "hold" }]'), dry_run=True)
    assert [(one.action, one.kind, one.name, one.detail) for one in changed] == [
        (Action.CHANGE, Kind.LOGICAL_UNIT, "a", "filters")
    ]
    assert isinstance(changed[0], Step)


async def test_a_step_that_fails_later_brings_them_back(running: Running, unit: Unit) -> None:
    await have(running, "layer")
    with pytest.raises(TgtError, match="portal taken"):
        await running.apply(("filters = []", "filters = []"), ('"one"', '"taken"'))
    assert list(named(unit)) == ["layer"]


async def test_plugins_of_filters_are_in_use(running: Running, unit: Unit) -> None:
    plugin = running.daemon.plugins.find("filtering")
    assert plugin is not None
    await have(running, "hold")
    assert unit.lu in plugin.leases
    await have(running)
    assert unit.lu not in plugin.leases


async def test_a_disk_that_goes_closes_its_filters_once(running: Running, unit: Unit) -> None:
    await have(running, "hold", "layer", '{ type = "both", name = "top" }')
    filters = named(unit)
    await running.daemon.stop()
    assert [one.closed for one in filters.values()] == [1, 1, 1]
    assert bytes(memory(unit)[:1]) == b"\0"


async def test_a_resize_goes_through(running: Running, host: Host, unit: Unit) -> None:
    await have(running, "layer")
    assert await running.daemon.resize("a", 2 << 20) == 2 << 20
    await have(running)
    assert unit.store is not None
    assert unit.store.size_bytes == 2 << 20


async def test_offline_lasts_over_a_change(running: Running, host: Host, unit: Unit) -> None:
    unit.lu.set_online(False)
    await have(running, "layer")
    assert (await host.run(READ)).status == Status.CHECK_CONDITION
    unit.lu.set_online(True)
    assert (await host.run(READ)).status == Status.GOOD


async def test_a_resize_names_the_filter_that_does_not_let_it_through(running: Running, unit: Unit) -> None:
    await have(running, "layer", '{ type = "fewer", name = "shut" }', "power")
    with pytest.raises(StoreError, match="logical unit a can't change its size beneath shut, which"):
        await running.daemon.resize("a", 8192)
    await have(running, "layer", "power")
    assert await running.daemon.resize("a", 8192) == 8192
