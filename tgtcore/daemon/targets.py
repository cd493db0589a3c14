"""Making, changing, draining and removing targets."""

import logging
from collections.abc import Sequence

from tgtcore import signals
from tgtcore.config import TargetConfig
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.patience import Patience
from tgtcore.daemon.sessions import end_sessions, has_nexus, is_with
from tgtcore.daemon.units import usable_unit
from tgtcore.nexus import Nexus, TargetPort
from tgtcore.target import LunMap, Target

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


async def drain_target(inventory: Inventory, name: str, patience: Patience) -> None:
    """Let nobody log in to a target any more and end its sessions; returns when the last lease is back."""
    target = inventory.targets[name]
    signals.emit(signals.drain_started, target)
    target.leases.shut()
    transport = inventory.transports.get(target.transport)
    if transport is not None:
        await end_sessions(transport, is_with(target), patience)
    for nexus in list(target.nexuses):
        nexus.close(lambda: None)
    await target.leases.drain(None)
    signals.emit(signals.drain_finished, target)


async def remove_target(inventory: Inventory, name: str, patience: Patience) -> None:
    """Drain a target and remove it.

    A transport that fails at that is no reason to keep it: its nexuses are closed all the same.
    """
    target = inventory.targets[name]
    target.drained = False
    await drain_target(inventory, name, patience)
    transport = inventory.transports.get(target.transport)
    if transport is not None:
        try:
            await transport.drop_target(target)
        except Exception:
            _log.exception("transport %s could not end what it has with %s", target.transport, target)
    _clear(target)
    del inventory.targets[name]
    signals.emit(signals.target_removed, target)


def _clear(target: Target) -> None:
    for lun_map in target.maps():
        lun_map.clear()


def _ports(inventory: Inventory, target: Target) -> Sequence[TargetPort]:
    """The ports of a target; none before its transport is there."""
    transport = inventory.transports.get(target.transport)
    return transport.target_ports(target) if transport is not None else ()


def change_target(inventory: Inventory, config: TargetConfig) -> bool:
    """Give a target another alias, other options or another access list; whether it is another access list."""
    target = inventory.targets[config.name]
    target.alias = config.alias
    target.options = config.options
    other = target.access != config.allow
    target.access = config.allow
    signals.emit(signals.target_changed, target)
    return other


def refused_nexuses(inventory: Inventory, name: str) -> list[Nexus]:
    """The nexuses of a target that its access list and the plugins no longer admit."""
    target = inventory.targets[name]
    host = inventory.hosts[target.transport]
    return [nexus for nexus in target.nexuses if not host.admits(target, nexus.initiator_port, "")]


async def end_nexuses(inventory: Inventory, name: str, nexuses: list[Nexus], patience: Patience) -> None:
    """End the sessions that some nexuses of a target belong to."""
    await end_sessions(inventory.transports[inventory.targets[name].transport], has_nexus(nexuses), patience)
