"""The end of everything: transports with their sessions, then targets, then logical units with their stores."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from tgtcore.daemon.compare import Action, Step
from tgtcore.daemon.departures import Departure, Departures
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.patience import Patience
from tgtcore.daemon.targets import remove_target
from tgtcore.daemon.things import Kind, Thing
from tgtcore.daemon.transports import remove_transport
from tgtcore.daemon.units import remove_unit
from tgtcore.daemon.users import users_of
from tgtcore.errors import DrainTimeout
from tgtcore.loop import Turn

_log = logging.getLogger(__name__)

_HOPELESS_S = 1.0
"""For what waits on something that was waited for already."""

_Remove = Callable[[Inventory, str, Patience], Awaitable[None]]


async def remove_everything(inventory: Inventory, departures: Departures) -> list[str]:
    """Remove what there is, whatever a configuration says.

    Things of one kind go at the same time, so that those that hang cost their time only once.  What goes wrong is logged: nothing
    may keep the rest.

    :returns: what is gone, but not as it should be.
    """
    complaints: list[str] = []

    async def remove(kind: Kind, names: Iterable[str], removal: _Remove, at_most_s: float | None) -> None:
        leaving, turn = [], Turn()
        for name in list(names):
            leaving.append(await _begin(inventory, departures, Thing(kind, name), removal))
            await turn.over()
        waits = (departures.wait(departure, at_most_s) for departure in leaving)
        for error in await asyncio.gather(*waits, return_exceptions=True):
            if error is not None:
                _log.error("%s", error)
                if not isinstance(error, DrainTimeout):
                    complaints.append(str(error))

    departures.hurry()
    await remove(Kind.TRANSPORT, inventory.transports, remove_transport, None)
    await remove(Kind.TARGET, inventory.targets, remove_target, _HOPELESS_S if len(departures) else None)
    await remove(Kind.LOGICAL_UNIT, inventory.units, remove_unit, None)
    return complaints


async def _begin(inventory: Inventory, departures: Departures, thing: Thing, removal: _Remove) -> Departure:
    """Remove a thing, unless that is being done already."""
    going = departures.of(thing)
    if going is not None and going.step is not None:
        return going
    return departures.begin(
        thing,
        lambda patience: removal(inventory, thing.name, patience),
        await users_of(inventory, thing),
        step=Step(Action.REMOVE, thing.kind, thing.name),
    )
