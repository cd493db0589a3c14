"""Starting, changing, draining and stopping transports."""

import logging
import os

from pydantic import BaseModel

from tgtcore.config import TransportConfig
from tgtcore.daemon.host import TransportHost
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.patience import Patience
from tgtcore.daemon.portals import addresses_of, without_drained
from tgtcore.daemon.sessions import end_sessions, every
from tgtcore.daemon.stores import explain
from tgtcore.daemon.things import Kind, Thing
from tgtcore.errors import ConfigError
from tgtcore.isolation.attached_driver import AttachedDriver, Door
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
        await _stop_listening(inventory, name)
        await _close(inventory, name)
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


def _attached(inventory: Inventory, name: str, config: TransportConfig, host: TransportHost) -> Driver:
    assert config.keys.socket is not None, f"{name} was checked"
    driver = AttachedDriver(name, Door(config.keys.socket, config.keys.user), host, config.options)
    driver.inherit(inventory.inheritance.take_sockets(name))
    # nobody asks yet for what the service manager has opened, and at the end of the start it would be closed
    given = ((address, host.inherited(address)) for address in sorted(addresses_of(config.options)))
    driver.inherit((address, listening) for address, listening in given if listening is not None)
    return driver


_DRIVERS = {"none": _local, "process": _in_a_process, "attached": _attached}
"""By the key ``isolation``."""


async def change_transport(inventory: Inventory, name: str, options: BaseModel) -> None:
    """Give a transport other options: portals open and close, sessions go on; one that is drained gets them when it is reopened.

    :raises ConfigError: a portal can't be opened, or the transport fails in another way; then nothing has changed.
    """
    try:
        if Thing(Kind.TRANSPORT, name) not in inventory.drained:
            await inventory.transports[name].apply_options(without_drained(inventory, name, options))
    except Exception as error:
        raise ConfigError(explain(f"transport {name}", error)) from error


async def drain_transport(inventory: Inventory, name: str, patience: Patience) -> None:
    """Close a transport's portals and end its sessions, even if it fails at that."""
    await _stop_listening(inventory, name)
    await end_sessions(inventory.transports[name], every, patience)


async def reopen_transport(inventory: Inventory, name: str, options: BaseModel) -> None:
    """Open the portals of a transport again, as its options say now.

    :raises ConfigError: one can't be opened; then none is.
    """
    transport = inventory.transports[name]
    try:
        await transport.start()
    except Exception as error:
        raise ConfigError(explain(f"transport {name}", error)) from error
    await change_transport(inventory, name, options)


async def remove_transport(inventory: Inventory, name: str, patience: Patience) -> None:
    """Drain a transport and close it; it is gone then, even if it fails at that."""
    try:
        await drain_transport(inventory, name, patience)
    finally:
        await _close(inventory, name)


async def _stop_listening(inventory: Inventory, name: str) -> None:
    try:
        await inventory.transports[name].stop_listening()
    except Exception:
        _log.exception("transport %s could not close its portals", name)


async def _close(inventory: Inventory, name: str) -> None:
    try:
        await inventory.transports[name].close()
    except Exception:
        _log.exception("transport %s could not end its sessions", name)
    finally:
        host = inventory.hosts[name]
        host.maker.leases.give(host)
        del inventory.transports[name], inventory.hosts[name]
