"""Making, draining, resizing and removing logical units."""

import logging
from collections.abc import Callable
from functools import partial

from tgtcore import signals
from tgtcore.config import LogicalUnitConfig
from tgtcore.daemon.filters import change_filters
from tgtcore.daemon.fitting import Fitted, beside_the_stack, close_parts, open_all
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.lasting import to_the_end
from tgtcore.daemon.layers import keeping_back
from tgtcore.daemon.patience import Patience, end_tasks
from tgtcore.daemon.plugin_sets import makers_of_unit
from tgtcore.daemon.refit import Make, claim, filter_commands, opened
from tgtcore.daemon.saved_state import SavedState
from tgtcore.daemon.schedule import follow
from tgtcore.daemon.snapshots import check_changeable, check_keeps
from tgtcore.daemon.stores import explain
from tgtcore.daemon.things import lun_thing
from tgtcore.errors import ConfigError, StoreError, TgtError, Unsupported, describe
from tgtcore.logical_unit import Identity, LogicalUnit
from tgtcore.store import Features, OpenStore

_log = logging.getLogger(__name__)


async def add_unit(inventory: Inventory, config: LogicalUnitConfig) -> None:
    """Open the stores of a logical unit and make it, or leave nothing behind.

    :raises StoreError: a store can't be opened.
    :raises ConfigError: the device type can't work with the store.
    """
    what = f"logical unit {config.name}"
    unique_id = config.unique_id or inventory.identities.get(config.name)
    fitted: Fitted = await inventory.workers.call(
        open_all, inventory.plugins.registry, config, what, undo=Fitted.discard
    )
    stack, store = fitted.stack, None
    where = f"{what} on {config.store}" if config.store else what
    try:
        if stack is not None:
            store = opened(inventory, config, stack)
            signals.emit(signals.store_opened, store)
        if config.snapshots is not None:
            check_keeps("it", stack, store)
        lu = _make(inventory, config, unique_id, store)
    except Exception as error:
        try:
            await _close_stores(inventory, store, fitted, unmake=True)
        except StoreError as second:  # the user needs to know the first
            _log.error("%s", second)
        raise ConfigError(explain(where, error)) from error
    makers = makers_of_unit(inventory.plugins, config)
    for record in makers:
        record.leases.take(lu)
    unit = inventory.units[config.name] = Unit(config, lu, store, stack, makers, fitted.parts)
    filter_commands(inventory, unit)
    inventory.names.update(dict.fromkeys(_names(lu.identity), lu))
    follow(inventory, unit)
    signals.emit(signals.lu_added, lu)


async def change_unit(inventory: Inventory, config: LogicalUnitConfig) -> None:
    """Change what can be changed about a logical unit that stays: its filters, and when its snapshots are made.

    :raises ConfigError: its store can't keep any.
    :raises TgtError: it can't have these filters, see :func:`~tgtcore.daemon.filters.change_filters`; nothing has changed.
    """
    unit = inventory.units[config.name]
    if config.snapshots is not None:
        try:
            check_changeable(unit)
        except StoreError as error:
            raise ConfigError(str(error)) from error
    if config.filters != unit.config.filters:
        why = f"a change of the filters of {unit.lu}"
        await change_filters(inventory, unit, Make(inventory.plugins, config), why, inventory.drain_s)
    unit.config = config
    follow(inventory, unit)


def _make(inventory: Inventory, config: LogicalUnitConfig, unique_id: bytes, store: OpenStore | None) -> LogicalUnit:
    device_type = inventory.plugins.registry.device_types.get(config.device_type)
    assert device_type is not None, f"{config.device_type} was checked"
    identity = Identity.make(config.name, unique_id, **dict(config.names))
    _check_distinct(inventory, identity)
    saved = SavedState(inventory.state_directory, unique_id, inventory.inheritance.take_reservations(unique_id))
    lu = LogicalUnit(identity, device_type, store, config.options, saved_state=saved)
    if store is not None:
        claim(lu, store)
    lu.extra_vpd_pages = lambda transport: inventory.plugins.vpd_pages(transport, lu)
    return lu


def _check_distinct(inventory: Inventory, identity: Identity) -> None:
    """Initiators take two logical units of one name for paths to the same medium, and destroy both.

    :raises ConfigError: another one has that unique id or serial number, perhaps one that it was given by the daemon.
    """
    for name in _names(identity):
        if (other := inventory.names.get(name)) is not None:
            raise ConfigError(f"{name[0]} is that of {other} too; initiators would take them for one and destroy both")


def _names(identity: Identity) -> list[tuple[str, object]]:
    """What no other logical unit may have."""
    return [("unique_id", identity.unique_id), ("serial", identity.serial)]


def usable_unit(inventory: Inventory, name: str) -> Unit:
    """A logical unit that may be mapped.

    :raises ConfigError: it is not there, or is going away, or drained.
    """
    unit = inventory.units.get(name)
    if unit is None or unit.lu.leases.draining:
        raise ConfigError(f"logical unit {name} is drained, going away or gone")
    return unit


async def drain_unit(inventory: Inventory, lu: LogicalUnit, patience: Patience) -> None:
    """Show a logical unit to nobody, wherever it is mapped; returns when its last task has ended."""
    signals.emit(signals.drain_started, lu)
    lu.leases.shut()
    for target, lun_map, lun in inventory.places_of(lu):
        target.hide(lun, lun_map)
    await end_tasks(lu, lu.tasks(), patience)
    signals.emit(signals.drain_finished, lu)


def reopen_unit(inventory: Inventory, lu: LogicalUnit) -> None:
    """Show a logical unit again, but for its LUNs that are drained themselves."""
    lu.leases.open()
    for target, lun_map, lun in inventory.places_of(lu):
        if lun_thing(target.name, list(target.maps()).index(lun_map), lun) not in inventory.drained:
            target.show(lun, lun_map)


async def remove_unit(inventory: Inventory, name: str, patience: Patience) -> None:
    """Drain a logical unit that is mapped nowhere, close it and its stores; returns when the last lease is back.

    What was made for a unit that is not kept, such as a new image, goes too, unless a command has reached it.
    """
    unit = inventory.units[name]
    lu = unit.lu
    if unit.schedule is not None:
        unit.schedule.end()
    await drain_unit(inventory, lu, patience)
    await lu.changing.acquire()  # for good: what changes it now ends first, and nothing changes it any more
    await lu.leases.drain(None)
    lu.close()
    for host in inventory.hosts.values():
        host.forget(lu)
    try:
        fitted = Fitted(unit.filters, unit.stack)
        await _close_stores(inventory, unit.store, fitted, unmake=not unit.kept and not lu.accepted)
    finally:
        del inventory.units[name]
        for record in unit.makers:
            record.leases.give(lu)
        for own in _names(lu.identity):
            del inventory.names[own]
    signals.emit(signals.lu_removed, lu)


async def resize_unit(inventory: Inventory, name: str, size_bytes: int, timeout_s: float) -> int:
    """Change the size of a logical unit's store; initiators are told.  Returns the size that it has now.

    :raises DrainTimeout: it takes longer than ``timeout_s``; it goes on by itself.
    :raises StoreError: the store can't, or won't, or what stands on it does not let that through.
    :raises ConfigError: the device can't have that size.
    """
    unit = usable_unit(inventory, name)
    store = unit.store
    if store is None:
        raise StoreError(f"{unit.lu} has no store")
    if Features.RESIZE not in store.features and (layer := keeping_back(unit, Features.RESIZE)):
        raise Unsupported(f"{unit.lu} can't change its size beneath {layer.name}, which does not let that through")
    what = f"the resize of {unit.lu} to {size_bytes} bytes"
    try:
        await to_the_end(unit.lu.resize(size_bytes), what, unit.lu, timeout_s)
    except ConfigError as error:
        raise ConfigError(f"{unit.lu}: {error}") from error
    except TgtError:
        raise
    except Exception as error:
        raise StoreError(explain(str(unit.lu), error)) from error
    return store.size_bytes


async def _close_stores(inventory: Inventory, store: OpenStore | None, fitted: Fitted, *, unmake: bool = False) -> None:
    """Close the filters and the stores of a logical unit, whatever one of them raises.

    :raises StoreError: one was not closed cleanly.
    """
    beside, stack = beside_the_stack(fitted.parts), fitted.stack
    acts: list[Callable[[], None]] = [partial(close_parts, beside)] if beside else []
    if stack is not None:
        acts += [stack.unmake] if unmake else []
        acts += [stack.top.close if store is None else store.close, stack.close_bases]
    if store is not None:
        await store.leases.drain(None)
    failures: list[Exception] = []
    for act in acts:
        try:
            await inventory.workers.call(act)
        except Exception as error:  # the others are closed all the same
            failures.append(error)
    if store is not None:
        signals.emit(signals.store_closed, store)
    if failures:
        reasons = "; ".join(describe(failure) for failure in failures)
        raise StoreError(f"{store or 'the store'} was not closed cleanly: {reasons}") from failures[0]
