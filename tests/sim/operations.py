"""What happens in a run: operations in a row, each with chances of its own, so that any of them can be left out."""

import asyncio
import copy
import random
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.configuration import SIZES, TARGETS, UNITS, change_randomly

from tgtcore.config import Source
from tgtcore.daemon import session_thing
from tgtcore.daemon.refit import Make
from tgtcore.daemon.swap import swap as swap_unit
from tgtcore.logical_unit import Pause

if TYPE_CHECKING:
    from sim.world import World


class Operation(NamedTuple):
    """One operation.

    :param after_s: time since the one before it.
    :param seed: of what it chooses.
    """

    after_s: float
    name: str
    seed: int

    def __str__(self) -> str:
        return f"{self.name} (0x{self.seed:x})"


Act = Callable[["World", random.Random], None]


def commands(world: "World", chance: random.Random) -> None:
    """Some initiator sends commands."""
    initiator = chance.choice(world.initiators)
    if initiator.session is None:
        log_in(world, chance)
        return
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        initiator.send_random(chance, world.commands.make)


def function(world: "World", chance: random.Random) -> None:
    """Some initiator sends a task management function."""
    chance.choice(world.initiators).manage_random(chance)


def log_in(world: "World", chance: random.Random) -> None:
    """Some initiator without a session logs in."""
    idle = [initiator for initiator in world.initiators if initiator.session is None]
    if idle:
        chance.choice(idle).log_in(chance.choice(TARGETS))


def vanish(world: "World", chance: random.Random) -> None:
    """A connection breaks."""
    chance.choice(world.initiators).vanish()


def log_out(world: "World", chance: random.Random) -> None:
    """An initiator logs out."""
    chance.choice(world.initiators).log_out()


def edit(world: "World", chance: random.Random) -> None:
    """One thing is changed by a verb."""

    def change(document: dict[str, Any]) -> None:
        world.environment.trace("changes", *change_randomly(chance, document, 1))

    world.control("edit", world.daemon.edit(change))


def apply(world: "World", chance: random.Random) -> None:
    """A whole configuration is applied."""
    document = copy.deepcopy(dict(world.daemon.config.document))
    changes = change_randomly(chance, document, chance.randint(2, 6))
    world.control(f"apply {' '.join(changes)}", world.daemon.apply(Source(document, world.folder)))


def resize(world: "World", chance: random.Random) -> None:
    """A logical unit gets another size."""
    name, size_bytes = chance.choice(UNITS), chance.choice((*SIZES, 1000))
    world.control(f"resize {name} {size_bytes}", world.daemon.resize(name, size_bytes))


def online(world: "World", chance: random.Random) -> None:
    """A logical unit is taken offline or back."""
    unit = world.daemon.inventory.units.get(chance.choice(UNITS))
    if unit is not None:
        unit.lu.set_online(chance.random() < 0.7)


def drop_session(world: "World", chance: random.Random) -> None:
    """A session is ended by a verb."""
    transport = world.environment.transport
    sessions = [] if transport is None else transport.sessions()
    if sessions:
        session = chance.choice(sessions)
        deadline_s = chance.choice((None, 0.0))
        world.control(f"drop {session.id}", world.daemon.drain(session_thing("sim", session), deadline_s))


def pause(world: "World", chance: random.Random) -> None:
    """A logical unit is paused for a while."""
    unit = world.daemon.inventory.units.get(chance.choice(UNITS))
    if unit is not None:
        world.control(f"pause of {unit.lu.name}", _paused(Pause(unit.lu, "a pause"), chance.random() * 0.1))


async def _paused(pause: Pause, for_s: float) -> None:
    await pause.begin(1.0)
    await asyncio.sleep(for_s)
    pause.end()


def swap(world: "World", chance: random.Random) -> None:
    """A logical unit is made anew under its initiators, as when a plugin is reloaded."""
    name = chance.choice(UNITS)
    world.control(f"swap of {name}", _swapped(world, name))


async def _swapped(world: "World", name: str) -> None:
    daemon = world.daemon
    async with daemon._change():
        unit = daemon.inventory.units.get(name)
        if unit is not None and not unit.lu.leases.draining:
            make = Make(daemon.plugins, unit.config)
            await swap_unit(daemon.inventory, unit, make, make, "a swap", 1.0)


def kill(world: "World", chance: random.Random) -> None:
    """The daemon is killed."""
    world.kill()


def stop(world: "World", chance: random.Random) -> None:
    """The daemon is asked to stop."""
    world.stop()


def rest(world: "World", chance: random.Random) -> None:
    """Nothing new comes until everything has ended."""
    world.rests = True


OPERATIONS: dict[Act, float] = {
    commands: 60,
    function: 5,
    log_in: 4,
    vanish: 1,
    log_out: 1,
    edit: 4,
    apply: 1,
    resize: 1,
    online: 1.5,
    drop_session: 1,
    pause: 1,
    swap: 1,
    rest: 0.5,
    kill: 0.5,
    stop: 0.3,
}
"""What happens, and how often."""

BY_NAME = {act.__name__: act for act in OPERATIONS}
_MEAN_S = 0.002

Control = Coroutine[Any, Any, Any]


def operations_of(chance: random.Random, count: int) -> list[Operation]:
    """The operations of a run."""
    pace_s = chance.choice((0.2, 1, 1, 10)) * _MEAN_S
    acts = chance.choices(list(BY_NAME), list(OPERATIONS.values()), k=count)
    return [Operation(chance.expovariate(1 / pace_s), name, chance.getrandbits(32)) for name in acts]
