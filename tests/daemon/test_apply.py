"""Carrying out steps: undone in reverse, late removals kept in mind."""

import asyncio
import logging
from typing import Any

import pytest
from daemon.conftest import Running

from tgtcore.daemon.compare import Action, Kind, Step
from tgtcore.errors import ConfigError, DrainTimeout

pytestmark = pytest.mark.asyncio


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


async def test_a_name_is_free_again_when_its_late_removal_has_ended(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0)
    running.daemon.inventory.drain_s = 0.02
    leases = running.daemon.inventory.units["b"].lu.leases
    leases.take("a slow reader")
    without = (running.text[running.text.index("[logical_units.b]") : running.text.index("[targets")], "")
    unmapped = ('["a", "b"]', '["a"]')
    with pytest.raises(DrainTimeout, match=r"logical unit b is still in use after .* by: a slow reader"):
        await running.apply(without, unmapped)
    with pytest.raises(ConfigError, match="logical unit b is still going away; try again later"):
        await running.apply(unmapped)
    leases.give("a slow reader")
    for _ in range(100):
        if "b" not in running.daemon.inventory.units:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    await running.apply(unmapped)
    assert set(running.daemon.inventory.units) == {"a", "b"}
