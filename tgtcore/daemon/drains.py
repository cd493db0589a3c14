"""Draining and reopening: a thing that stays configured takes nobody new, and those who use it go."""

from collections.abc import Awaitable, Callable

from tgtcore import signals
from tgtcore.config import Config
from tgtcore.daemon.departures import Users
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.luns import drain_lun, reopen_lun
from tgtcore.daemon.patience import Patience
from tgtcore.daemon.portals import open_portal
from tgtcore.daemon.sessions import came_through, end_sessions, is_session
from tgtcore.daemon.targets import drain_target
from tgtcore.daemon.things import Kind, Thing
from tgtcore.daemon.transports import change_transport, drain_transport, reopen_transport
from tgtcore.daemon.units import drain_unit, reopen_unit
from tgtcore.daemon.users import users_of

Leave = Callable[[Patience], Awaitable[None]]


async def draining(inventory: Inventory, config: Config, thing: Thing) -> Leave:
    """What drains a thing that is there: shuts its door, waits as long as patience lasts, ends what is left.

    From now on it counts as drained, but for a session, which does not come back.

    :param config: the configuration in force.
    """
    leave = await _DRAINS[thing.kind](inventory, config, thing)
    if thing.kind is not Kind.SESSION:
        inventory.drained.add(thing)
    return leave


async def reopen(inventory: Inventory, config: Config, thing: Thing) -> None:
    """Let a drained thing take users again; idempotent.

    :param config: the configuration in force.
    :raises ConfigError: a portal can't be opened; the thing stays drained.
    """
    inventory.drained.discard(thing)
    try:
        await _REOPENS[thing.kind](inventory, config, thing)
    except BaseException:
        inventory.drained.add(thing)
        raise


async def portal_sessions(inventory: Inventory, thing: Thing) -> tuple[Leave, Users]:
    """What ends the sessions that came through a portal which is about to be closed, and asks for them."""
    portal = await open_portal(inventory, thing.name, str(thing.part))
    address = portal.address if portal is not None else str(thing.part)
    transport = inventory.transports[thing.name]
    return lambda patience: end_sessions(transport, came_through(address), patience), await users_of(inventory, thing)


def forget_drained(inventory: Inventory, thing: Thing) -> None:
    """A thing is removed: neither it nor what belongs to it is drained any more."""
    inventory.drained = {other for other in inventory.drained if thing not in (other, other.whole)}


# ---- how each kind is drained --------------------------------------------------------------------------------------------


async def _drain_target(inventory: Inventory, config: Config, thing: Thing) -> Leave:
    target = inventory.targets[thing.name]
    target.drained = True
    target.leases.shut()
    signals.emit(signals.target_changed, target)
    return lambda patience: drain_target(inventory, thing.name, patience)


async def _drain_lun(inventory: Inventory, config: Config, thing: Thing) -> Leave:
    assert isinstance(thing.part, tuple)
    index, lun = thing.part
    return lambda patience: drain_lun(inventory, thing.name, index, lun, patience)


async def _drain_unit(inventory: Inventory, config: Config, thing: Thing) -> Leave:
    lu = inventory.units[thing.name].lu
    lu.leases.shut()
    return lambda patience: drain_unit(inventory, lu, patience)


async def _drain_transport(inventory: Inventory, config: Config, thing: Thing) -> Leave:
    return lambda patience: drain_transport(inventory, thing.name, patience)


async def _drain_portal(inventory: Inventory, config: Config, thing: Thing) -> Leave:
    end, _ = await portal_sessions(inventory, thing)

    async def leave(patience: Patience) -> None:
        await change_transport(inventory, thing.name, config.transports[thing.name].options)
        await end(patience)

    return leave


async def _drain_session(inventory: Inventory, config: Config, thing: Thing) -> Leave:
    transport = inventory.transports[thing.name]
    return lambda patience: end_sessions(transport, is_session(str(thing.part), thing.nexus), patience)


_DRAINS: dict[Kind, Callable[[Inventory, Config, Thing], Awaitable[Leave]]] = {
    Kind.LOGICAL_UNIT: _drain_unit,
    Kind.LUN: _drain_lun,
    Kind.PORTAL: _drain_portal,
    Kind.SESSION: _drain_session,
    Kind.TARGET: _drain_target,
    Kind.TRANSPORT: _drain_transport,
}

# ---- how each kind is reopened -------------------------------------------------------------------------------------------


async def _reopen_target(inventory: Inventory, config: Config, thing: Thing) -> None:
    target = inventory.targets[thing.name]
    target.drained = False
    target.leases.open()
    signals.emit(signals.target_changed, target)


async def _reopen_lun(inventory: Inventory, config: Config, thing: Thing) -> None:
    assert isinstance(thing.part, tuple)
    reopen_lun(inventory, thing.name, *thing.part)


async def _reopen_unit(inventory: Inventory, config: Config, thing: Thing) -> None:
    reopen_unit(inventory, inventory.units[thing.name].lu)


async def _reopen_transport(inventory: Inventory, config: Config, thing: Thing) -> None:
    await reopen_transport(inventory, thing.name, config.transports[thing.name].options)


async def _reopen_portal(inventory: Inventory, config: Config, thing: Thing) -> None:
    await change_transport(inventory, thing.name, config.transports[thing.name].options)


_REOPENS: dict[Kind, Callable[[Inventory, Config, Thing], Awaitable[None]]] = {
    Kind.LOGICAL_UNIT: _reopen_unit,
    Kind.LUN: _reopen_lun,
    Kind.PORTAL: _reopen_portal,
    Kind.TARGET: _reopen_target,
    Kind.TRANSPORT: _reopen_transport,
}
