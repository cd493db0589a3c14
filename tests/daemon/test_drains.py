"""Draining, reopening, and removals that somebody else has begun."""

import asyncio
from typing import Any

import pytest
from daemon.conftest import Running

from tgtcore.daemon import Kind, Thing, lun_thing
from tgtcore.errors import Draining, NotThere

pytestmark = pytest.mark.asyncio

TARGET = Thing(Kind.TARGET, "t.one")
PORTAL = Thing(Kind.PORTAL, "fake", "one")


def without_target(document: dict[str, Any]) -> None:
    del document["targets"]["t.one"]


async def test_a_drained_target_takes_nobody_until_it_is_reopened(running: Running) -> None:
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    await running.daemon.drain(TARGET)
    assert nexus.closed
    assert running.daemon.state_of(TARGET) == "drained"
    with pytest.raises(Draining):
        running.transport.log_in("t.one", "host")
    await running.daemon.reopen(TARGET)
    assert running.daemon.state_of(TARGET) == ""
    assert running.transport.log_in("t.one", "host") is not None


@pytest.mark.parametrize("thing", [lun_thing("t.one", 0, 0), Thing(Kind.LOGICAL_UNIT, "a")], ids=str)
async def test_what_is_drained_is_found_by_nobody_until_it_is_reopened(running: Running, thing: Thing) -> None:
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    await running.daemon.drain(thing)
    newcomer = running.transport.log_in("t.one", "newcomer")
    assert newcomer is not None
    assert (list(nexus.luns()), list(newcomer.luns())) == ([1], [1])
    await running.daemon.reopen(thing)
    assert (list(nexus.luns()), list(newcomer.luns())) == ([0, 1], [0, 1])


async def test_a_lun_that_is_drained_itself_stays_so_when_its_logical_unit_is_reopened(running: Running) -> None:
    lun, unit = lun_thing("t.one", 0, 0), Thing(Kind.LOGICAL_UNIT, "a")
    for thing in (lun, unit):
        await running.daemon.drain(thing)
    await running.daemon.reopen(unit)
    assert list(running.daemon.inventory.targets["t.one"].luns.luns()) == [1]
    await running.daemon.reopen(lun)
    assert list(running.daemon.inventory.targets["t.one"].luns.luns()) == [0, 1]


async def test_a_drained_portal_is_closed_and_its_sessions_end(running: Running) -> None:
    through, other = (running.transport.log_in("t.one", name) for name in ("through", "other"))
    assert through is not None
    assert other is not None
    running.transport.came_through[through] = "one"
    await running.daemon.drain(PORTAL)
    assert running.transport.open == []
    assert (through.closed, other.closed) == (True, False)
    await running.daemon.reopen(PORTAL)
    assert running.transport.open == ["one"]


@pytest.mark.parametrize("thing", [Thing(Kind.TRANSPORT, "fake"), Thing(Kind.PLUGIN, "fake")], ids=str)
async def test_a_drained_transport_is_closed_and_comes_back(running: Running, thing: Thing) -> None:
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    await running.daemon.drain(thing)
    assert nexus.closed
    assert running.transport.open == []
    await running.daemon.reopen(thing)
    assert running.transport.open == ["one"]
    back = running.transport.log_in("t.one", "host")
    assert back is not None
    assert list(back.luns()) == [0, 1]


async def test_draining_and_reopening_twice_is_doing_so_once(running: Running) -> None:
    for _ in range(2):
        await running.daemon.drain(TARGET)
    for _ in range(2):
        await running.daemon.reopen(TARGET)
    assert running.transport.log_in("t.one", "host") is not None


async def test_what_is_not_there_is_its_own_error(running: Running) -> None:
    for thing in (Thing(Kind.TARGET, "t.two"), lun_thing("t.one", 0, 7), Thing(Kind.SESSION, "fake", "x")):
        with pytest.raises(NotThere, match="there is no"):
            await running.daemon.drain(thing)


async def test_who_removes_what_is_going_away_waits_for_the_same_end(running: Running) -> None:
    daemon, leases = running.daemon, running.daemon.inventory.targets["t.one"].leases
    leases.take("a slow user")
    first = asyncio.ensure_future(daemon.remove(TARGET, without_target, 100))
    async with asyncio.timeout(5):
        while TARGET not in daemon.departures:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    second = asyncio.ensure_future(daemon.remove(TARGET, without_target, 0))
    await asyncio.sleep(0.05)
    assert daemon.state_of(TARGET) == "going away"
    assert not first.done()
    assert not second.done()
    with pytest.raises(Draining, match=r"target t\.one is being removed"):
        await daemon.reopen(TARGET)
    leases.give("a slow user")
    assert await first == await second
    assert "t.one" not in daemon.inventory.targets


async def test_a_lun_of_a_target_that_is_being_removed_goes_with_it(running: Running) -> None:
    daemon, leases, lun = running.daemon, running.daemon.inventory.targets["t.one"].leases, lun_thing("t.one", 0, 0)
    leases.take("a slow user")
    removal = asyncio.ensure_future(daemon.remove(TARGET, without_target, 100))
    async with asyncio.timeout(5):
        while TARGET not in daemon.departures:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    for change in (daemon.drain, daemon.reopen):
        with pytest.raises(Draining, match=r"target t\.one is being removed"):
            await change(lun)
    leases.give("a slow user")
    await removal
    assert lun not in daemon.inventory.drained
