"""Actions of filters: found by name, done while nothing runs where they need that, and told to initiators."""

import asyncio
import logging
from typing import Any

import pytest
from daemon.conftest import Running, TimePasses
from daemon.filters.conftest import have, memory, named
from daemon.reload.conftest import Host, X, Y, attentions, finished

from tgtcore.daemon.acting import Acted, act, wish
from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.layers import layers_of_unit
from tgtcore.errors import ConfigError, Draining, DrainTimeout, NotThere, StoreError
from tgtcore.scsi import asc
from tgtcore.scsi.status import Status

pytestmark = pytest.mark.asyncio

READ, CAPACITY, WRITE = "28 00 00000000 00 0001", "25", "2a 00 00000000 00 0001"


async def do(
    running: Running, name: str, action: str, /, unit: str = "a", timeout_s: float = 5.0, **values: Any
) -> Acted:
    inventory = running.daemon.inventory
    return await act(inventory, wish(inventory.units[unit], name, action, values), timeout_s)


async def test_an_action_without_a_pause_is_done_at_once(running: Running, host: Host) -> None:
    await have(running, "hold")
    held = host.start(READ)
    assert await do(running, "hold", "release") == Acted({"released": 1}, 0.0)
    assert (await finished(held)).status == Status.GOOD
    assert (await do(running, "hold", "add-up", of=5)).result == 6


async def test_wrong_requests_are_explained(running: Running) -> None:
    await have(running, '{ type = "hold", name = "h" }', "layer")
    for name, action, values, error, said in [
        ("hold", "release", {}, NotThere, 'logical unit a has no filter called "hold"; see: tgtadm filter list a'),
        ("laier", "release", {}, NotThere, 'no filter called "laier"; did you mean "layer"?'),
        (
            "h",
            "relaese",
            {},
            NotThere,
            'has no action "relaese"; did you mean "release"? (expected one of: release, add-up, fail)',
        ),
        ("layer", "release", {}, NotThere, 'filter layer has no action "release"; it has none'),
        ("h", "add-up", {"off": 1}, ConfigError, 'h add-up: off: unknown key; did you mean "of"?'),
        ("h", "fail", {}, StoreError, "fail of filter h of logical unit a: input/output error"),
    ]:
        with pytest.raises(error) as caught:
            await do(running, name, action, **values)
        assert said in str(caught.value)


async def test_power_is_cut(running: Running, host: Host, unit: Unit) -> None:
    """What was not flushed is gone, what was not begun is aborted, and everybody is told once."""
    await have(running, "hold", "power")
    await host.write(X)
    power, held = named(unit)["power"], host.start(READ)
    power.gate.clear()
    cut = asyncio.ensure_future(do(running, "power", "cut"))
    assert await asyncio.to_thread(power.begun.wait, 10)
    waiting = host.start(WRITE, Y)
    power.gate.set()
    done = await cut
    assert done.result == {"lost": 1}
    assert done.paused_s > 0
    assert [(await finished(task)).status for task in (held, waiting)] == [Status.TASK_ABORTED] * 2
    assert attentions(host) == [asc.POWER_ON_OCCURRED]
    assert (await host.run("00")).status == Status.CHECK_CONDITION
    assert bytes(memory(unit)[:512]) == bytes(512)


async def test_reservations_end_with_the_power(running: Running, host: Host, unit: Unit) -> None:
    await have(running, "power")
    assert (await host.run("56 00 00 00 00 00 00 00 00")).status == Status.GOOD
    assert unit.lu.reservations.active
    await do(running, "power", "cut")
    assert not unit.lu.reservations.active


async def test_the_medium_changes(running: Running, host: Host) -> None:
    await have(running, "power")
    await do(running, "power", "swap", of=120)
    assert attentions(host) == [asc.MEDIUM_MAY_HAVE_CHANGED]
    await host.run("00")
    assert await host.read() == X


async def test_what_fails_tells_nobody(running: Running, host: Host, unit: Unit) -> None:
    await have(running, "power")
    with pytest.raises(StoreError, match="fail of filter power of logical unit a: no space left on device"):
        await do(running, "power", "fail")
    assert attentions(host) == []
    assert unit.lu.pause is None
    await host.write(X)


async def test_what_stands_above_is_told(running: Running, host: Host, unit: Unit) -> None:
    await have(running, '{ type = "power", name = "upper" }', '{ type = "power", name = "lower" }')
    await host.write(X)
    await do(running, "lower", "cut")
    await host.run("00")
    assert await host.read() == bytes(512)


async def test_initiators_are_told_also_when_what_stands_above_fails(
    running: Running, host: Host, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = ("top", "upper", "lower")
    await have(running, *(f'{{ type = "power", name = "{name}" }}' for name in layers))

    def fail() -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(named(unit)["upper"], "base_changed", fail)
    await host.write(X)
    with pytest.raises(StoreError, match="cut of filter lower of logical unit a: input/output error"):
        await do(running, "lower", "cut")
    assert attentions(host) == [asc.POWER_ON_OCCURRED]
    assert unit.lu.pause is None
    assert named(unit)["top"].kept == {}, "what stands above that was told all the same"


async def test_what_would_not_notice_keeps_it_from_being_done(running: Running, host: Host, unit: Unit) -> None:
    await have(running, "layer", "power")
    with pytest.raises(
        StoreError,
        match="layer stands on power and would not notice; remove it first: tgtadm filter remove a layer",
    ):
        await do(running, "power", "cut")
    assert attentions(host) == []


async def test_layers_of_the_store_are_reached_too(running: Running, host: Host) -> None:
    both, power, store = layers_of_unit(running.daemon.inventory.units["b"])
    assert [(one.name, one.can_go, one.sees) for one in (both, power, store)] == [
        ("both", False, ["commands", "storage"]),
        ("power", False, ["storage"]),
        ("memory", False, ["storage"]),
    ]
    await host.write(X, lun=1)
    assert (await do(running, "both", "cut", unit="b")).result == {"lost": 1}
    assert (await do(running, "power", "cut", unit="b")).result == {"lost": 0}


async def test_names_of_layers_are_numbered_where_there_are_several(running: Running) -> None:
    await running.apply(
        ("filters = []", 'filters = [{ type = "power" }]'),
        ('base = { type = "memory" } } }', 'base = { type = "power", base = { type = "memory" } } } }'),
    )
    units = running.daemon.inventory.units
    assert [layer.name for layer in layers_of_unit(units["a"])] == ["power", "memory"]
    assert [layer.name for layer in layers_of_unit(units["b"])] == ["both", "power", "power-2", "memory"]


async def test_it_takes_no_longer_than_it_may(
    running: Running, host: Host, unit: Unit, time_passes: TimePasses
) -> None:
    await have(running, "power")
    power = named(unit)["power"]
    power.gate.clear()
    cut = asyncio.ensure_future(do(running, "power", "cut"))
    assert await asyncio.to_thread(power.begun.wait, 10)
    time_passes(5)
    with pytest.raises(
        DrainTimeout, match=r"cut of filter power of logical unit a has not ended after \d\.?\d* s: its store hangs"
    ):
        await cut
    power.gate.set()
    await asyncio.wait_for(unit.lu.changing.acquire(), 10)
    unit.lu.changing.release()
    assert attentions(host) == [asc.POWER_ON_OCCURRED]


async def test_a_filter_that_has_gone_meanwhile_does_nothing(running: Running, host: Host, unit: Unit) -> None:
    await have(running, "power")
    wished = wish(unit, "power", "cut", {})
    await have(running)
    with pytest.raises(NotThere, match="filter power of logical unit a has gone"):
        await act(running.daemon.inventory, wished, 5)
    await have(running, "power")
    again = wish(unit, "power", "cut", {})
    unit.lu.leases.shut()
    with pytest.raises(Draining):
        await act(running.daemon.inventory, again, 5)


async def test_a_filter_asks_for_itself(running: Running, host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    inventory = running.daemon.inventory
    await host.write(X, lun=1)
    assert (await host.run(CAPACITY, lun=1)).status == Status.GOOD
    await asyncio.wait(inventory.requests)
    assert "cut of filter both of logical unit b, which it has asked for itself, is done: {'lost': 1}" in caplog.text
    await host.run("00", lun=1)
    assert await host.read(lun=1) == bytes(512)
    assert not inventory.requests


async def test_what_a_filter_asks_for_itself_may_fail(
    running: Running, host: Host, unit: Unit, caplog: pytest.LogCaptureFixture
) -> None:
    await have(running, "layer", "both")
    host.start(CAPACITY)
    await asyncio.wait(running.daemon.inventory.requests)
    assert "would not notice" in caplog.text
    assert attentions(host) == []
