"""Starting, changing and stopping transports."""

import logging
import os
from collections.abc import Callable

from pydantic import BaseModel

from tgtcore.config import TransportConfig
from tgtcore.daemon.host import TransportHost
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.stores import explain
from tgtcore.errors import ConfigError
from tgtcore.isolation.orders import Orders
from tgtcore.isolation.process_driver import ProcessDriver
from tgtcore.transport import Driver, LocalDriver

_log = logging.getLogger(__name__)


async def add_transport(inventory: Inventory, name: str, config: TransportConfig) -> None:
    """Make a transport and open its portals, or leave nothing behind.

    :raises ConfigError: a portal can't be opened, or the transport fails in another way.
    """
    host = TransportHost(name, inventory)
    try:
        transport = _DRIVERS[config.keys.isolation](inventory, name, config, host)
    except Exception as error:
        raise ConfigError(explain(f"transport {name}", error)) from error
    host.maker.leases.take(host)
    inventory.hosts[name] = host
    inventory.transports[name] = transport
    try:
        await transport.start()
    except BaseException as error:
        await _discard(inventory, name, 0)
        if isinstance(error, Exception):
            raise ConfigError(explain(f"transport {name}", error)) from error
        raise


def _local(inventory: Inventory, name: str, config: TransportConfig, host: TransportHost) -> Driver:
    cls = inventory.plugins.registry.transports.get(name)
    assert cls is not None, f"{name} was checked"
    return LocalDriver(cls(host, config.options))


def _in_a_process(inventory: Inventory, name: str, config: TransportConfig, host: TransportHost) -> Driver:
    user = config.keys.user or ("nobody" if os.getuid() == 0 else "")
    plugin = host.maker.name
    level = logging.getLevelName(logging.getLogger().getEffectiveLevel())
    return ProcessDriver(Orders(plugin, name, -1, user, level), host, config.options)


_DRIVERS = {"none": _local, "process": _in_a_process}
"""By the key ``isolation``."""


async def change_transport(inventory: Inventory, name: str, options: BaseModel) -> None:
    """Give a transport other options: portals open and close, sessions go on.

    :raises ConfigError: a portal can't be opened, or the transport fails in another way; then nothing has changed.
    """
    try:
        await inventory.transports[name].apply_options(options)
    except Exception as error:
        raise ConfigError(explain(f"transport {name}", error)) from error


async def remove_transport(inventory: Inventory, name: str) -> None:
    """Close a transport's portals and end its sessions; it is gone then, even if it fails at that."""
    await _discard(inventory, name, inventory.drain_s)


def transport_users(inventory: Inventory, name: str) -> Callable[[], list[str]]:
    """Asks who keeps a transport from going away: commands that came through it and have not ended."""

    def users() -> list[str]:
        targets = [target for target in inventory.targets.values() if target.transport == name]
        nexuses = [nexus for target in targets for nexus in target.nexuses]
        return [str(holder) for nexus in nexuses for holder in nexus.leases.holders()]

    return users


async def _discard(inventory: Inventory, name: str, drain_s: float) -> None:
    transport = inventory.transports[name]
    try:
        await transport.stop_listening()
    except Exception:
        _log.exception("transport %s could not close its portals", name)
    try:
        await transport.close(drain_s)
    except Exception:
        _log.exception("transport %s could not end its sessions", name)
    finally:
        host = inventory.hosts[name]
        host.maker.leases.give(host)
        del inventory.transports[name], inventory.hosts[name]
