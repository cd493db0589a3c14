"""Random configurations one after the other, with failures everywhere: what is served is what the configuration in force says."""

import asyncio
import random
from itertools import pairwise
from typing import Any

import pytest
from daemon.conftest import Running, Start, configuration
from support.fake_filters import Layer, Noted, filtering
from support.fakes import FakeDevice, FakeStore, FakeTransport, HeldTask

from tgtcore import CommandFilter
from tgtcore.daemon.inventory import Unit
from tgtcore.errors import TgtError
from tgtcore.nexus import Nexus
from tgtcore.task import Attribute

pytestmark = pytest.mark.asyncio
CHANGES = 40

BEGIN = configuration("", "filtering")


class World:
    """Decides what is configured next and what fails.

    :param seed: of all decisions.
    """

    def __init__(self, seed: int, running: Running) -> None:
        self.random = random.Random(seed)
        self.running = running
        self.failing: set[str] = set()

    def chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def text(self) -> str:
        """A configuration that is right as far as it can be checked, and may fail all the same."""
        portal = "taken" if self.chance(8) else self.random.choice(["one", "two"])
        parts = [BEGIN.replace('"one"', f'"{portal}"').replace("STATE", f"{self.running.folder}/state")]
        units = [name for name in "abc" if self.random.random() < 0.7]
        parts += [self._unit(name) for name in units]
        for target in ("t.one", "t.two"):
            if self.random.random() < 0.7:
                mapped = self.random.sample(units, self.random.randint(0, len(units)))
                luns = ", ".join(f'{lun} = "{name}"' for lun, name in zip(self._luns(), mapped, strict=False))
                parts.append(f'[targets."{target}"]\ntransport = "fake"\nluns = {{ {luns} }}\n{self._allow()}')
        return "\n".join(parts)

    def _luns(self) -> list[int]:
        return self.random.sample(range(4), 3)

    def _allow(self) -> str:
        who = self.random.choice(["*", "*", "host1"])
        return f'allow = {{ initiators = ["{who}"] }}\n'

    def _unit(self, name: str) -> str:
        size = self.random.choice([4096, 8192])
        fails = ', fails = "/x"' if self.chance(15) else ""
        store = f'{{ type = "memory", size = {size}{fails} }}'
        if self.chance(3):
            store = f'{{ type = "through", base = {store} }}'
        refuses = "refuses = true\n" if self.chance(15) else ""
        return (
            f'[logical_units.{name}]\ndevice_type = "fake"\n{refuses}store = {store}\nfilters = [{self._filters()}]\n'
        )

    def _filters(self) -> str:
        chosen = self.random.sample(["hold", "layer", "power", "both"], self.random.choice([0, 0, 1, 2, 3]))
        fails = (", fails = true" if self.chance(20) else "" for _ in chosen)
        return ", ".join(f'{{ type = "{one}"{keys} }}' for one, keys in zip(chosen, fails, strict=True))

    def begin(self) -> None:
        """Initiators come, and send commands."""
        for target in ("t.one", "t.two"):
            nexus = self.running.transport.log_in(target, self.random.choice(["host1", "host2"]))
            if nexus is not None:
                for lun in nexus.luns():
                    nexus.submit(HeldTask(nexus, lun << 48, lun, Attribute.SIMPLE, bytes(16), 0, 0))

    def check(self) -> None:
        """Everything is as the configuration in force says."""
        daemon, inventory = self.running.daemon, self.running.daemon.inventory
        config = daemon.config
        assert {name: unit.config for name, unit in inventory.units.items()} == config.logical_units
        assert inventory.targets.keys() == config.targets.keys()
        for name, target in inventory.targets.items():
            wanted = dict(config.targets[name].luns.luns)
            assert {lun: lu.name for lun, lu in target.luns.luns().items()} == wanted
            assert target.access == config.targets[name].allow
            for lun, lu in target.luns.luns().items():
                assert lu is inventory.units[wanted[lun]].lu, "a LUN of a logical unit that is gone"
            for nexus in target.nexuses:
                self._check_nexus(nexus)
        assert self.running.transport.options == config.transports["fake"].options
        opened = [store for unit in inventory.units.values() if unit.stack for store in unit.stack.stores]
        assert {id(store) for store in FakeStore.opened if not store.closed} == {
            id(store) for store in opened if isinstance(store, FakeStore)
        }
        in_use = [part.filter for unit in inventory.units.values() for part in unit.filters]
        assert {id(one) for one in Noted.made if not one.closed} == {id(one) for one in in_use}
        for name, unit in inventory.units.items():
            assert tuple(part.config for part in unit.filters) == config.logical_units[name].filters
            assert unit.stack is not None
            self._check_filters(unit)
            assert unit.store is not None
            assert list(unit.store.claims.claimants()) == [str(unit.lu)]
            assert unit.lu.missing == 0

    def _check_filters(self, unit: Unit) -> None:
        """Those on storage calls stand on the store in their order, and those on commands see them in theirs."""
        assert unit.stack is not None
        assert unit.store is not None
        assert unit.store.store is unit.stack.top
        layers = [part.filter for part in unit.filters if isinstance(part.filter, Layer)]
        assert unit.stack.stores[len(unit.stack.layers) :] == layers[::-1]
        for upper, lower in pairwise([*layers, unit.stack.layers[-1]]):
            assert isinstance(upper, Layer)
            assert upper.base is lower
        seen = tuple(part.filter for part in unit.filters if isinstance(part.filter, CommandFilter))
        assert (unit.lu.filters.present if unit.lu.filters is not None else ()) == seen

    def _check_nexus(self, nexus: Nexus) -> None:
        assert not nexus.closed
        assert nexus.luns() == nexus.target.luns.luns()
        assert {nexus.itl(lun).lu for lun in nexus.luns()} == set(nexus.luns().values())


@pytest.fixture(autouse=True)
def _closed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def close(store: FakeStore) -> None:
        assert not store.closed, "a store is closed twice"
        store.closed = True

    monkeypatch.setattr(FakeStore, "close", close)
    monkeypatch.setattr(FakeDevice, "hands_over", True)


@pytest.mark.parametrize("seed", range(12))
async def test_what_is_served_is_what_the_configuration_says(
    start: Start, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    running = await start(BEGIN, filtering())
    world = World(seed, running)
    outcomes: set[type[Any]] = set()
    apply_options = FakeTransport.apply_options

    async def sometimes(transport: FakeTransport, options: Any) -> None:
        if world.chance(8):
            raise ZeroDivisionError("inside")
        await apply_options(transport, options)

    def flush(store: FakeStore) -> None:
        if world.chance(8):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(FakeTransport, "apply_options", sometimes)
    monkeypatch.setattr(FakeStore, "flush", flush)
    for _ in range(CHANGES):
        try:
            await running.apply((running.text, world.text()))
            outcomes.add(list)
        except TgtError as error:
            outcomes.add(type(error))
        world.check()
        world.begin()
        world.check()
        await asyncio.sleep(0)
    monkeypatch.undo()
    assert len(outcomes) >= 3
    assert await running.daemon.stop() == []
    assert all(store.closed for store in FakeStore.opened)
    assert all(one.closed for one in Noted.made)


@pytest.mark.parametrize("seed", range(12))
async def test_a_stop_in_the_middle_of_changes_leaves_nothing(start: Start, seed: int) -> None:
    running = await start(BEGIN, filtering())
    world = World(seed, running)
    await running.apply((running.text, BEGIN.replace("STATE", f"{running.folder}/state")))

    async def change() -> None:
        for _ in range(world.random.randrange(4)):
            await asyncio.sleep(0)
        if world.chance(3):
            await running.daemon.resize(world.random.choice("abc"), 8192)
        else:
            await running.apply((running.text, world.text()))

    changes = [asyncio.ensure_future(change()) for _ in range(8)]
    for _ in range(world.random.randrange(60)):
        await asyncio.sleep(0.0005)
    world.begin()
    assert await running.daemon.stop() == []
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    assert all(isinstance(outcome, TgtError | None) for outcome in outcomes), outcomes
    inventory = running.daemon.inventory
    assert (inventory.units, inventory.targets, inventory.transports) == ({}, {}, {})
    assert all(store.closed for store in FakeStore.opened)
