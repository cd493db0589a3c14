"""Making, changing and removing targets and their LUN maps."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from tgtcore import signals
from tgtcore.config import TargetConfig
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.units import usable_unit
from tgtcore.nexus import Nexus, TargetPort
from tgtcore.target import LunMap, Target
from tgtcore.transport import SessionInfo

_log = logging.getLogger(__name__)


def add_target(inventory: Inventory, config: TargetConfig) -> None:
    """Make a target with all its LUNs.

    :raises ConfigError: a LUN can't be mapped.
    """
    target = Target(config.name, inventory.next_tid(), config.transport, config.options, alias=config.alias)
    target.ports = lambda: _ports(inventory, target)
    target.access = config.allow
    target.private_luns = [LunMap(str(target), one.initiators) for one in config.private_luns]
    try:
        for lun_map, wanted in zip(target.maps(), config.maps(), strict=True):
            for lun, name in wanted.luns.items():
                target.map(lun, usable_unit(inventory, name).lu, lun_map)
    except BaseException:
        _clear(target)
        raise
    inventory.targets[config.name] = target
    signals.emit(signals.target_added, target)


async def remove_target(inventory: Inventory, name: str) -> None:
    """End a target's sessions and remove it; returns when the last lease is back.

    A transport that fails at that is no reason to keep the target: its nexuses are closed all the same.
    """
    target = inventory.targets[name]
    signals.emit(signals.drain_started, target)
    target.leases.shut()
    transport = inventory.transports.get(target.transport)
    if transport is not None:
        try:
            await transport.drop_target(target, inventory.drain_s)
        except Exception:
            _log.exception("transport %s could not end the sessions with %s", target.transport, target)
    for nexus in list(target.nexuses):
        nexus.close(lambda: None)
    await target.leases.drain(None)
    _clear(target)
    del inventory.targets[name]
    signals.emit(signals.drain_finished, target)
    signals.emit(signals.target_removed, target)


def _clear(target: Target) -> None:
    for lun_map in target.maps():
        lun_map.clear()


def change_target(inventory: Inventory, config: TargetConfig) -> bool:
    """Give a target another alias, other options or another access list; whether it is another access list."""
    target = inventory.targets[config.name]
    target.alias = config.alias
    target.options = config.options
    other = target.access != config.allow
    target.access = config.allow
    signals.emit(signals.target_changed, target)
    return other


async def map_lun(inventory: Inventory, target: str, index: int, lun: int, unit: str) -> None:
    """Map a logical unit; nexuses see it at once.

    :param index: 0 for the LUNs of everybody, else the number of the private map.
    """
    found = inventory.targets[target]
    found.map(lun, usable_unit(inventory, unit).lu, list(found.maps())[index])


async def unmap_lun(inventory: Inventory, target: str, index: int, lun: int) -> None:
    """Take a LUN away; returns when the last task that used it has ended."""
    found = inventory.targets[target]
    ended: asyncio.Future[None] = inventory.loop.create_future()

    def gone() -> None:
        if not ended.done():
            ended.set_result(None)

    found.unmap(lun, gone, list(found.maps())[index])
    await ended


def target_users(inventory: Inventory, name: str, unit: str | None = None) -> Callable[[], list[str]]:
    """Asks who uses a target: its sessions and their commands; with a logical unit, only the commands for that."""
    target = inventory.targets[name]

    def users() -> list[str]:
        if unit is not None:
            used = inventory.units[unit].lu.leases
            return [str(holder) for holder in used.holders(lambda task: task.nexus.target is target)]
        every = [target.leases, *(nexus.leases for nexus in target.nexuses)]
        return [str(holder) for leases in every for holder in leases.holders()]

    return users


def nexus_users(nexuses: Collection[Nexus]) -> Callable[[], list[str]]:
    """Asks which of some nexuses are still there, and for their commands."""

    def users() -> list[str]:
        targets = dict.fromkeys(nexus.target for nexus in nexuses)
        every = [holder for target in targets for holder in target.leases.holders(lambda one: one in nexuses)]
        return [str(holder) for holder in (*every, *(one for nexus in nexuses for one in nexus.leases.holders()))]

    return users


async def session_users(inventory: Inventory, transport: str, session_id: str) -> Callable[[], list[str]]:
    """Asks for what is left of a session that is there now."""
    sessions = [session for session in await inventory.transports[transport].sessions() if session.id == session_id]
    nexuses = [nexus for target in inventory.targets.values() for nexus in target.nexuses]
    return nexus_users([nexus for nexus in nexuses for session in sessions if _is_of(session, nexus)])


def refused_nexuses(inventory: Inventory, name: str) -> list[Nexus]:
    """The nexuses of a target that its access list and the plugins no longer admit."""
    target = inventory.targets[name]
    host = inventory.hosts[target.transport]
    return [nexus for nexus in target.nexuses if not host.admits(target, nexus.initiator_port, "")]


async def drop_nexuses(inventory: Inventory, nexuses: Collection[Nexus]) -> None:
    """End the sessions that nexuses belong to."""
    for nexus in nexuses:
        transport = inventory.transports[nexus.target.transport]
        for session in await transport.sessions():
            if _is_of(session, nexus):
                await transport.drop_session(session.id)


def _ports(inventory: Inventory, target: Target) -> Sequence[TargetPort]:
    """The ports of a target; none before its transport is there."""
    transport = inventory.transports.get(target.transport)
    return transport.target_ports(target) if transport is not None else ()


def _is_of(session: SessionInfo, nexus: Nexus) -> bool:
    port = nexus.initiator_port
    host = session.address.rpartition(":")[0].strip("[]")
    named = (session.target, session.initiator) == (nexus.target.name, port.name)
    return named and port.address in (host, session.address)
