"""Making, changing and removing targets and their LUN maps."""

import asyncio

from tgtcore import signals
from tgtcore.config import TargetConfig
from tgtcore.daemon.inventory import Inventory
from tgtcore.target import LunMap, Target
from tgtcore.transport import SessionInfo


def add_target(inventory: Inventory, config: TargetConfig) -> None:
    """Make a target with all its LUNs.

    :raises ConfigError: a LUN can't be mapped.
    """
    target = Target(config.name, inventory.next_tid(), config.transport, config.options, alias=config.alias)
    target.access = config.allow
    target.private_luns = [LunMap(str(target), one.initiators) for one in config.private_luns]
    for lun_map, wanted in zip(target.maps(), config.maps(), strict=True):
        for lun, name in wanted.luns.items():
            target.map(lun, inventory.units[name].lu, lun_map)
    inventory.targets[config.name] = target
    signals.emit(signals.target_added, target)


async def remove_target(inventory: Inventory, name: str) -> None:
    """End a target's sessions and remove it; returns when the last lease is back."""
    target = inventory.targets[name]
    signals.emit(signals.drain_started, target)
    target.leases.shut()
    transport = inventory.transports.get(target.transport)
    if transport is not None:
        await transport.drop_target(target, inventory.drain_s)
    for nexus in list(target.nexuses):
        nexus.close(lambda: None)
    await target.leases.drain(None)
    del inventory.targets[name]
    signals.emit(signals.drain_finished, target)
    signals.emit(signals.target_removed, target)


async def change_target(inventory: Inventory, config: TargetConfig) -> None:
    """Give a target another alias, other options or another access list; sessions no longer admitted are ended."""
    target = inventory.targets[config.name]
    target.alias = config.alias
    target.options = config.options
    narrower = target.access != config.allow
    target.access = config.allow
    if narrower:
        await _drop_refused(inventory, target)


async def map_lun(inventory: Inventory, target: str, index: int, lun: int, unit: str) -> None:
    """Map a logical unit; nexuses see it at once.

    :param index: 0 for the LUNs of everybody, else the number of the private map.
    """
    found = inventory.targets[target]
    found.map(lun, inventory.units[unit].lu, list(found.maps())[index])


async def unmap_lun(inventory: Inventory, target: str, index: int, lun: int) -> None:
    """Take a LUN away; returns when the last task that used it has ended."""
    found = inventory.targets[target]
    ended: asyncio.Future[None] = inventory.loop.create_future()
    found.unmap(lun, lambda: ended.set_result(None), list(found.maps())[index])
    await ended


async def _drop_refused(inventory: Inventory, target: Target) -> None:
    host = inventory.hosts[target.transport]
    transport = inventory.transports[target.transport]
    for nexus in list(target.nexuses):
        if host.admits(target, nexus.initiator_port, ""):
            continue
        for session in transport.sessions():
            if _is_of(session, target, nexus.initiator_port.name, nexus.initiator_port.address):
                await transport.drop_session(session.id)


def _is_of(session: SessionInfo, target: Target, initiator: str, address: str) -> bool:
    return session.target == target.name and session.initiator == initiator and address in session.address
