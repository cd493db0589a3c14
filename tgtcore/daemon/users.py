"""Who uses a thing: the leases on it and on what belongs to it, with their ages."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from operator import attrgetter

from tgtcore.daemon.built import built_by
from tgtcore.daemon.departures import Users
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.luns import place
from tgtcore.daemon.portals import is_configured, open_portal
from tgtcore.daemon.sessions import Chosen, came_through, is_session, nexuses_of
from tgtcore.daemon.things import Kind, Thing
from tgtcore.errors import NotThere
from tgtcore.leases import Holder
from tgtcore.nexus import Nexus
from tgtcore.task import Task


async def users_of(inventory: Inventory, thing: Thing) -> Users:
    """Asks for the holders of a thing that is there now; goes on to do so when the thing leaves the inventory.

    :raises NotThere: it is not there.
    """
    try:
        return await _USERS[thing.kind](inventory, thing)
    except LookupError as error:
        raise NotThere(f"there is no {thing}") from error


async def _target(inventory: Inventory, thing: Thing) -> Users:
    target = inventory.targets[thing.name]
    return lambda: _sorted([*target.leases.holders(), *_tasks(target.nexuses)])


async def _lun(inventory: Inventory, thing: Thing) -> Users:
    assert isinstance(thing.part, tuple)
    index, lun = thing.part
    target, lun_map = place(inventory, thing.name, index)
    lu = lun_map.mapped()[lun]

    def is_here(holder: object) -> bool:
        return (
            isinstance(holder, Task)
            and holder.nexus.target is target
            and holder.itl is not None
            and holder.itl.lun == lun
        )

    return lambda: lu.leases.holders(is_here)


async def _unit(inventory: Inventory, thing: Thing) -> Users:
    unit = inventory.units[thing.name]
    return lambda: _sorted([*unit.lu.leases.holders(), *unit.jobs()])


async def _transport(inventory: Inventory, thing: Thing) -> Users:
    targets = [target for target in inventory.targets.values() if target.transport == thing.name]
    return nexus_users([nexus for target in targets for nexus in target.nexuses])


async def _portal(inventory: Inventory, thing: Thing) -> Users:
    portal = await open_portal(inventory, thing.name, str(thing.part))
    if portal is None and thing not in inventory.drained and not is_configured(inventory, thing):
        raise LookupError(thing)
    return await _sessions(
        inventory, thing.name, came_through(portal.address if portal is not None else str(thing.part))
    )


async def _session(inventory: Inventory, thing: Thing) -> Users:
    chosen = is_session(str(thing.part), thing.nexus)
    if not any(map(chosen, await inventory.transports[thing.name].sessions())):
        raise LookupError(thing)
    return await _sessions(inventory, thing.name, chosen)


async def _plugin(inventory: Inventory, thing: Thing) -> Users:
    every = [await users_of(inventory, built) for built in built_by(inventory, thing.name)]
    return lambda: _sorted({holder for users in every for holder in users()})


async def _sessions(inventory: Inventory, transport: str, chosen: Chosen) -> Users:
    return nexus_users(await nexuses_of(inventory, transport, chosen))


def nexus_users(nexuses: Collection[Nexus]) -> Users:
    """Asks which of some nexuses are still there, and for their commands."""

    def users() -> list[Holder]:
        targets = dict.fromkeys(nexus.target for nexus in nexuses)
        there = [holder for target in targets for holder in target.leases.holders(lambda one: one in nexuses)]
        return _sorted([*there, *_tasks(nexuses)])

    return users


def _tasks(nexuses: Iterable[Nexus]) -> list[Holder]:
    return [holder for nexus in nexuses for holder in nexus.leases.holders()]


def _sorted(holders: Iterable[Holder]) -> list[Holder]:
    """The oldest first."""
    return sorted(holders, key=attrgetter("since_s"))


_USERS: dict[Kind, Callable[[Inventory, Thing], Awaitable[Users]]] = {
    Kind.LOGICAL_UNIT: _unit,
    Kind.LUN: _lun,
    Kind.PLUGIN: _plugin,
    Kind.PORTAL: _portal,
    Kind.SESSION: _session,
    Kind.TARGET: _target,
    Kind.TRANSPORT: _transport,
}
