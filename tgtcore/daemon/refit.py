"""What every change beneath a live logical unit comes to: while it is paused, its device is made anew on another stack."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tgtcore import signals
from tgtcore.config import LogicalUnitConfig
from tgtcore.daemon.acting import request
from tgtcore.daemon.fitting import Fitted, Part, close_parts, command_filters
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.plugin_sets import makers_of_unit
from tgtcore.daemon.stores import Stack
from tgtcore.errors import describe
from tgtcore.logical_unit import LogicalUnit, Pause
from tgtcore.plugins import Plugins
from tgtcore.store import Claim, OpenStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Make:
    """What a logical unit is made from: the code, and the configuration as that code has checked it."""

    plugins: Plugins
    config: LogicalUnitConfig


def opened(inventory: Inventory, config: LogicalUnitConfig, stack: Stack) -> OpenStore:
    """A stack as device types see it."""
    return OpenStore(
        config.name, stack.top, inventory.workers, read_only=config.read_only, concurrency=stack.concurrency
    )


def claim(lu: LogicalUnit, store: OpenStore) -> None:
    """Note that a logical unit uses a store.

    :raises StoreError: somebody else does, and they can't both.
    """
    store.claims.claim(Claim.WRITE_EXCLUSIVE if store.writable else Claim.READ_SHARED, str(lu))


def refit(inventory: Inventory, unit: Unit, pause: Pause, make: Make, fitted: Fitted, store: OpenStore | None) -> None:
    """Give a paused logical unit another device, on another store.

    :param fitted: what it has then.
    :param store: the same as device types see it.
    :raises Exception: what the device type raises; nothing has changed then.
    """
    device_type = make.plugins.registry.device_types.get(make.config.device_type)
    assert device_type is not None, f"{make.config.device_type} was checked"
    pause.refit(device_type, store, make.config.options)
    if store is not None:
        claim(unit.lu, store)
        signals.emit(signals.store_closed, unit.store)
        signals.emit(signals.store_opened, store)
    unit.store = store
    take(inventory, unit, make, fitted)


def take(inventory: Inventory, unit: Unit, make: Make, fitted: Fitted) -> None:
    """Note what a logical unit is made from now, and let its commands meet its filters."""
    makers = makers_of_unit(make.plugins, make.config)
    for record in unit.makers:
        record.leases.give(unit.lu)
    for record in makers:
        record.leases.take(unit.lu)
    unit.config, unit.stack, unit.filters, unit.makers = make.config, fitted.stack, fitted.parts, makers
    filter_commands(inventory, unit)


async def give_up(inventory: Inventory, unit: Unit, fitted: Fitted) -> None:
    """What was made for a logical unit is not used after all: everything is as it was."""
    try:
        await inventory.workers.call(fitted.move_back)
    except Exception:
        _log.exception("%s: a filter can't stand where it stood before", unit.lu)
    await see_off(inventory, unit, fitted.fresh)


async def see_off(inventory: Inventory, unit: Unit, filters: Sequence[Part]) -> None:
    """Close filters that are used no more: they hold nothing that their base has not, so an error here loses nothing."""
    if not filters:
        return
    try:
        await inventory.workers.call(close_parts, filters)
    except Exception as error:
        names = ", ".join(str(part.config) for part in filters)
        _log.warning("%s: filter %s was not closed cleanly: %s", unit.lu, names, describe(error))


def filter_commands(inventory: Inventory, unit: Unit) -> None:
    """Let the commands to a logical unit meet the filters that it has."""
    filters = command_filters(unit.filters, unit.stack)
    unit.lu.set_filters(filters, partial(request, inventory, unit), inventory.loop)
