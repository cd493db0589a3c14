"""Starting, changing and stopping transports."""

from pydantic import BaseModel

from tgtcore.daemon.host import TransportHost
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.stores import describe
from tgtcore.errors import ConfigError


async def add_transport(inventory: Inventory, name: str, options: BaseModel) -> None:
    """Make a transport and open its portals, or leave nothing behind.

    :raises ConfigError: a portal can't be opened.
    """
    cls = inventory.plugins.registry.transports.get(name)
    assert cls is not None, f"{name} was checked"
    host = TransportHost(name, inventory)
    transport = cls(host, options)
    inventory.hosts[name] = host
    inventory.transports[name] = transport
    try:
        await transport.start()
    except OSError as error:
        await transport.close(0)
        del inventory.hosts[name], inventory.transports[name]
        raise ConfigError(f"transport {name}: {describe(error)}") from error


async def change_transport(inventory: Inventory, name: str, options: BaseModel) -> None:
    """Give a transport other options: portals open and close, sessions go on.

    :raises ConfigError: a portal can't be opened; then nothing has changed.
    """
    try:
        await inventory.transports[name].apply_options(options)
    except OSError as error:
        raise ConfigError(f"transport {name}: {describe(error)}") from error


async def remove_transport(inventory: Inventory, name: str) -> None:
    """Close a transport's portals and end its sessions."""
    transport = inventory.transports[name]
    await transport.stop_listening()
    await transport.close(inventory.drain_s)
    del inventory.transports[name], inventory.hosts[name]
