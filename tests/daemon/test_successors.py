"""Something new with the name of what still goes away: it is a thing of its own."""

import asyncio
from typing import Any

import pytest
from daemon.conftest import AMPLE_S, Running
from support.fakes import FakeTransport, HeldTask

from tgtcore import Nexus, Task
from tgtcore.daemon import Daemon, Edit, Kind, Thing, lun_thing
from tgtcore.daemon.departures import Departure
from tgtcore.errors import DrainTimeout
from tgtcore.management.verbs.transports import session_called
from tgtcore.task import PENDING, Attribute
from tgtcore.testing.waiting import until_async

pytestmark = pytest.mark.asyncio

LUN = lun_thing("t.one", 0, 0)
PORTAL = Thing(Kind.PORTAL, "fake", "one")


@pytest.fixture(autouse=True)
def _patience(ample_time: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says that he does not want to wait does not."""
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0.02)


def luns(**units: str) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        document["targets"]["t.one"]["luns"] = units

    return edit


def portals(*addresses: str) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        document["transports"]["fake"]["portals"] = [{"address": address} for address in addresses]

    return edit


def log_in(running: Running, initiator: str, portal: str = "", port_id: bytes = b"") -> Nexus:
    nexus = running.transport.log_in("t.one", initiator, port_id=port_id)
    assert nexus is not None
    running.transport.came_through[nexus] = portal
    return nexus


def run(nexus: Nexus, lun: int, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A command that runs until it is completed here."""
    itl = nexus.itl(lun)
    assert itl is not None
    itl.attentions = ()
    monkeypatch.setattr(itl.commands.find(bytes(6)), "handler", lambda device, task: PENDING)
    task = HeldTask(nexus, lun, 7, Attribute.SIMPLE, bytes(6), 0, 0)
    nexus.submit(task)
    return task


async def removed_slowly(daemon: Daemon, thing: Thing, edit: Edit) -> Departure:
    """The removal of something that does not go as long as it is used."""
    with pytest.raises(DrainTimeout):
        await daemon.remove(thing, edit, 0)
    assert daemon.state_of(thing) == "going away"
    (departure,) = daemon.departures
    return departure


@pytest.mark.parametrize("unit", ["a", "b"])
async def test_a_lun_that_is_mapped_again_is_not_the_one_that_still_goes(
    running: Running, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = running.daemon
    await daemon.edit(luns(**{"0": "a"}))
    nexus = log_in(running, "host")
    task = run(nexus, 0, monkeypatch)
    former = await removed_slowly(daemon, LUN, luns())
    await daemon.edit(luns(**{"0": unit}))
    assert daemon.state_of(LUN) == ""
    assert {lun: lu.name for lun, lu in nexus.luns().items()} == {0: unit}
    await daemon.remove(LUN, luns())
    assert nexus.luns() == {}
    assert not former.task.done()
    await daemon.edit(luns(**{"0": unit}))
    await daemon.drain(LUN)
    assert daemon.state_of(LUN) == "drained"
    task.complete()
    await asyncio.wait_for(former.task, AMPLE_S)


async def test_a_portal_that_is_opened_again_is_not_the_one_whose_sessions_still_end(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = running.daemon
    old = log_in(running, "old", "one")
    task = run(old, 0, monkeypatch)
    former = await removed_slowly(daemon, PORTAL, portals())
    await daemon.edit(portals("one"))
    assert daemon.state_of(PORTAL) == ""
    new = log_in(running, "new", "one")
    task.complete()
    await asyncio.wait_for(former.task, AMPLE_S)
    assert (old.closed, new.closed) == (True, False)
    await daemon.remove(PORTAL, portals())
    assert new.closed
    assert running.transport.open == []


async def test_a_session_that_gets_the_id_of_one_that_still_ends_goes_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the driver process has died, and counts from the beginning again."""
    daemon = running.daemon
    old = log_in(running, "host")
    task = run(old, 0, monkeypatch)
    thing = await session_called(daemon, "fake", "host@t.one")
    draining = asyncio.ensure_future(daemon.drain(thing, 100))
    await until_async(lambda: daemon.state_of(thing) == "draining")
    old.close(lambda: None)
    shown = FakeTransport.sessions
    monkeypatch.setattr(
        FakeTransport, "sessions", lambda transport: [one for one in shown(transport) if one.nexus is not old]
    )
    new = log_in(running, "host", port_id=b"another")
    other = await session_called(daemon, "fake", "host@t.one")
    assert daemon.state_of(other) == ""
    with pytest.raises(DrainTimeout):
        await daemon.drain(thing, 0)
    assert not new.closed
    assert not draining.done()
    task.complete()
    await asyncio.wait_for(draining, AMPLE_S)
    assert not new.closed
    await daemon.drain(other)
    assert new.closed
