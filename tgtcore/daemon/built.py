"""What was built from the code of a plugin."""

from collections.abc import Iterator

from tgtcore.config import StoreConfig
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.things import Kind, Thing


def built_by(inventory: Inventory, plugin: str) -> list[Thing]:
    """The transports and logical units that stand on a plugin: its transports, device types, stores, formats or filters.

    :param plugin: its name, as the configuration enables it.
    :raises KeyError: no such plugin is enabled.
    """
    offers = {record.name: record.offers for record in inventory.plugins.records}[plugin]
    transports = [name for name in inventory.transports if name in offers.get("transport", ())]
    units = [
        name
        for name, unit in inventory.units.items()
        if any(part in offers.get(kind, ()) for kind, part in _parts(unit))
    ]
    return [*(Thing(Kind.TRANSPORT, name) for name in transports), *(Thing(Kind.LOGICAL_UNIT, name) for name in units)]


def _parts(unit: Unit) -> Iterator[tuple[str, str]]:
    """What a logical unit is made of: kinds and names of the registry."""
    yield "device type", unit.config.device_type
    store: StoreConfig | None = unit.config.store
    while store is not None:
        for kind in ("store", "format", "filter"):
            yield kind, store.type
        store = store.base
    for one in unit.config.filters:
        for kind in ("filter", "filter on commands"):
            yield kind, one.type
