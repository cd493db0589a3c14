"""Carrying out steps: undone in reverse, late removals kept in mind."""

import asyncio
import logging
from types import ModuleType
from typing import Any

import pytest
from daemon.conftest import AMPLE_S, CONFIG, Impatient, Running, Start
from support.fakes import FakeStore, FakeTransport

from tgtcore import Options, hookimpl
from tgtcore.daemon import Thing
from tgtcore.daemon.compare import Action, Kind, Step
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.luns import unmap_lun
from tgtcore.daemon.patience import Patience
from tgtcore.errors import ConfigError, DrainTimeout, PluginError, StoreError
from tgtcore.testing.waiting import until_async

pytestmark = pytest.mark.asyncio


B = Thing(Kind.LOGICAL_UNIT, "b")


def applier(running: Running) -> Any:
    return running.daemon._applier


async def test_what_was_done_is_undone_in_reverse(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    async def handler(step: Step) -> None:
        order.append(str(step))
        if step.name == "c" and step.action is Action.ADD:
            raise ConfigError("c is bad")

    monkeypatch.setitem(applier(running)._handlers, Kind.ACCOUNT, handler)
    steps = [
        Step(Action.ADD, Kind.ACCOUNT, "a"),
        Step(Action.CHANGE, Kind.ACCOUNT, "b"),
        Step(Action.ADD, Kind.ACCOUNT, "c"),
    ]
    with pytest.raises(ConfigError, match="c is bad"):
        await applier(running).apply(steps)
    assert order == ["add account a", "change account b", "add account c", "change account b", "remove account a"]


async def test_an_undo_that_fails_is_logged_and_the_others_are_done(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    undone: list[str] = []

    async def handler(step: Step) -> None:
        if step.action is Action.REMOVE:
            undone.append(step.name)
            if step.name == "b":
                raise ConfigError("b does not go")
        elif step.name == "c":
            raise ConfigError("c is bad")

    monkeypatch.setitem(applier(running)._handlers, Kind.ACCOUNT, handler)
    with caplog.at_level(logging.ERROR), pytest.raises(ConfigError, match="c is bad"):
        await applier(running).apply([Step(Action.ADD, Kind.ACCOUNT, name) for name in "abc"])
    assert undone == ["b", "a"]
    assert "could not undo: add account b" in caplog.messages


async def test_a_name_is_free_again_when_its_late_removal_has_ended(running: Running, impatient: Impatient) -> None:
    impatient(Kind.LOGICAL_UNIT, "b")
    leases = running.daemon.inventory.units["b"].lu.leases
    leases.take("a slow reader")
    without = (running.text[running.text.index("[logical_units.b]") : running.text.index("[targets")], "")
    unmapped = ('["a", "b"]', '["a"]')
    with pytest.raises(DrainTimeout, match=r"logical unit b is still in use after .* by: a slow reader"):
        await running.apply(without, unmapped)
    with pytest.raises(ConfigError, match="logical unit b is still going away; try again later"):
        await running.apply(unmapped)
    leases.give("a slow reader")
    await until_async(lambda: B not in running.daemon.departures)
    await running.apply(unmapped)
    assert set(running.daemon.inventory.units) == {"a", "b"}


async def test_a_removal_that_goes_wrong_does_not_undo_the_others(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(store: FakeStore) -> None:
        raise OSError(5, "Input/output error")

    nexus = running.transport.log_in("t.one", "host")
    monkeypatch.setattr(FakeStore, "flush", fail)
    without_a = (running.text[running.text.index("[logical_units.a]") : running.text.index("[logical_units.b]")], "")
    with pytest.raises(StoreError, match="store a was not closed cleanly: input/output error"):
        await running.apply(without_a, ('["a", "b"]', '["b"]'))
    assert nexus is not None
    assert {lun: lu.name for lun, lu in nexus.luns().items()} == {0: "b"}
    assert set(running.daemon.config.logical_units) == set(running.daemon.inventory.units) == {"b"}
    monkeypatch.undo()
    assert len(await running.apply()) == 4


async def test_what_can_not_be_undone_is_made_by_the_next_change(running: Running, impatient: Impatient) -> None:
    impatient(Kind.LOGICAL_UNIT, "b")
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    leases = running.daemon.inventory.units["b"].lu.leases
    leases.take("a slow reader")
    with pytest.raises(ConfigError, match="logical unit b is still going away"):
        await running.apply(("[logical_units.b]", '[logical_units.b]\nserial = "S"'))
    assert {lun: lu.name for lun, lu in nexus.luns().items()} == {0: "a"}
    leases.give("a slow reader")
    await until_async(lambda: B not in running.daemon.departures)
    assert [str(step) for step in await running.apply()] == [
        "add logical unit b: through(memory())",
        "add LUN t.one: LUN 1, logical unit b",
    ]
    assert {lun: lu.name for lun, lu in nexus.luns().items()} == {0: "a", 1: "b"}


async def test_what_is_to_go_is_not_mapped_again_while_it_waits_for_a_lun(
    running: Running, monkeypatch: pytest.MonkeyPatch, impatient: Impatient
) -> None:
    """It would be configured and not served as soon as it has gone."""
    ended = asyncio.Event()

    async def slowly(inventory: Inventory, target: str, index: int, lun: int, patience: Patience) -> None:
        await unmap_lun(inventory, target, index, lun, patience)
        patience.shorten(0)
        await ended.wait()

    impatient(Kind.LOGICAL_UNIT, "b")
    monkeypatch.setattr(
        "tgtcore.daemon.departures._PROGRESS_S", 0.01
    )  # so often a deadline that has changed is looked at
    monkeypatch.setattr("tgtcore.daemon.apply.unmap_lun", slowly)
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    with pytest.raises(ConfigError, match="logical unit b is still going away"):
        await running.apply(("[logical_units.b]", '[logical_units.b]\nserial = "S"'))
    assert {lun: lu.name for lun, lu in nexus.luns().items()} == {0: "a"}
    assert dict(running.daemon.config.targets["t.one"].luns.luns) == {0: "a"}
    assert set(running.daemon.config.logical_units) == {"a"}
    ended.set()
    await asyncio.wait_for(asyncio.gather(*(one.task for one in running.daemon.departures)), AMPLE_S)
    assert set(running.daemon.inventory.units) == {"a"}
    await running.apply()
    assert {lun: lu.name for lun, lu in nexus.luns().items()} == {0: "a", 1: "b"}


async def test_only_who_is_in_the_way_is_named(running: Running, impatient: Impatient) -> None:
    impatient(Kind.LOGICAL_UNIT, "b")
    running.transport.log_in("t.one", "an innocent")
    running.daemon.inventory.units["b"].lu.leases.take("a slow reader")
    without_b = (running.text[running.text.index("[logical_units.b]") : running.text.index("[targets")], "")
    with pytest.raises(DrainTimeout) as caught:
        await running.apply(without_b, ('["a", "b"]', '["a"]'))
    assert [holder.partition(" (")[0] for holder in caught.value.holders] == ["a slow reader"]
    running.daemon.inventory.units["b"].lu.leases.give("a slow reader")
    await until_async(lambda: B not in running.daemon.departures)


async def test_only_the_session_that_is_no_longer_admitted_is_named(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0)
    running.daemon.inventory.drain_s = 0.02
    refused, innocent = (running.transport.log_in("t.one", name) for name in ("host", "innocent"))
    assert innocent is not None
    innocent.leases.take("a command of the innocent")
    gate = asyncio.Event()

    async def hang(transport: FakeTransport, session_id: str) -> bool:
        await gate.wait()
        return True

    monkeypatch.setattr(FakeTransport, "drop_session", hang)
    with pytest.raises(DrainTimeout) as caught:
        await running.apply(('initiators = ["*"]', 'initiators = ["innocent"]'))
    assert [holder.rpartition(" (")[0] for holder in caught.value.holders] == [str(refused)]
    innocent.leases.give("a command of the innocent")
    gate.set()
    await asyncio.sleep(0)


async def test_plugins_are_asked_again_who_may_stay_without_a_portal(start: Start) -> None:
    asked: list[tuple[str, str]] = []

    def authorize(initiator_port: Any, portal: str) -> bool | None:
        asked.append((initiator_port.name, portal))
        return False if (initiator_port.name, portal) == ("bad", "") else None

    module = ModuleType("extra")
    module.tgt_authorize_login = hookimpl(authorize)  # type: ignore[attr-defined]
    running = await start(CONFIG.replace('["fake"]', '["fake", "extra"]'), module)
    bad, good = (running.transport.log_in("t.one", name) for name in ("bad", "good"))
    assert bad is not None
    assert good is not None
    await running.apply(('initiators = ["*"]', 'initiators = ["*d"]'))
    assert (bad.closed, good.closed) == (True, False)
    assert asked == [("bad", "portal"), ("good", "portal"), ("bad", ""), ("good", "")]


@pytest.mark.parametrize("method", ["__init__", "start"])
async def test_a_transport_that_fails_inside_leaves_nothing_behind(
    start: Start, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    closed: list[bool] = []

    def fail(*args: Any) -> None:
        raise ZeroDivisionError("inside")

    async def close(self: FakeTransport) -> None:
        closed.append(True)

    monkeypatch.setattr(FakeTransport, method, fail)
    monkeypatch.setattr(FakeTransport, "close", close)
    with pytest.raises(ConfigError, match="transport fake failed inside: ZeroDivisionError: inside"):
        await start()
    assert closed == [True] * (method == "start")
    assert all(store.closed for store in FakeStore.opened)


async def test_a_logical_unit_may_move_to_another_lun_and_store_at_once(running: Running) -> None:
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    before = nexus.luns()
    await running.apply(
        ('luns = ["a", "b"]', 'luns = { 0 = "b", 1 = "a" }'),
        ('[logical_units.a]\ndevice_type = "fake"\n', '[logical_units.a]\ndevice_type = "fake"\nserial = "new"\n'),
    )
    after = nexus.luns()
    assert {lun: lu.name for lun, lu in after.items()} == {0: "b", 1: "a"}
    assert after[0] is before[1]
    assert after[1] is not before[0]


async def test_options_that_a_plugin_does_not_take_are_taken_back(start: Start) -> None:
    taken: list[int] = []

    class Keys(Options):
        level: int = 1

    def use(options: Keys) -> None:
        taken.append(options.level)
        if options.level == 2:
            raise ValueError("not this one")

    module = ModuleType("picky")
    module.tgt_register_options = hookimpl(lambda options: options.add(Keys, use))  # type: ignore[attr-defined]
    running = await start(CONFIG.replace('["fake"]', '["fake", "picky"]') + "[plugin.picky]\nlevel = 1\n", module)
    with pytest.raises(PluginError, match='plugin "picky" did not take its options: ValueError: not this one'):
        await running.apply(("level = 1", "level = 2"))
    assert taken == [1, 2, 1]
