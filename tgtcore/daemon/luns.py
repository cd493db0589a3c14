"""Mapping, draining and unmapping logical units."""

from tgtcore import signals
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.patience import Patience, end_tasks
from tgtcore.daemon.units import usable_unit
from tgtcore.target import LunMap, Target


async def map_lun(inventory: Inventory, target: str, index: int, lun: int, unit: str) -> None:
    """Map a logical unit; nexuses see it at once.

    :param index: 0 for the LUNs of everybody, else the number of the private map.
    """
    found, lun_map = place(inventory, target, index)
    found.map(lun, usable_unit(inventory, unit).lu, lun_map)


async def unmap_lun(inventory: Inventory, target: str, index: int, lun: int, patience: Patience) -> None:
    """Take a LUN away; returns when the last task that used it has ended."""
    found, lun_map = place(inventory, target, index)
    lu = lun_map.remove(lun)
    if lu is not None:
        await end_tasks(lu, found.withdraw(lun, lun_map), patience)
        signals.emit(signals.lun_unmapped, found, lun=lun, lu=lu)


async def drain_lun(inventory: Inventory, target: str, index: int, lun: int, patience: Patience) -> None:
    """Show a LUN to nobody until it is reopened; returns when the last task that used it has ended."""
    found, lun_map = place(inventory, target, index)
    await end_tasks(lun_map.mapped()[lun], found.hide(lun, lun_map), patience)


def reopen_lun(inventory: Inventory, target: str, index: int, lun: int) -> None:
    """Show a LUN again, unless its logical unit is drained itself."""
    found, lun_map = place(inventory, target, index)
    if not lun_map.mapped()[lun].leases.draining:
        found.show(lun, lun_map)


def place(inventory: Inventory, target: str, index: int) -> tuple[Target, LunMap]:
    """A target and one of its LUN maps.

    :param index: 0 for the LUNs of everybody, else the number of the private map.
    """
    found = inventory.targets[target]
    return found, list(found.maps())[index]
