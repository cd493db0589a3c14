"""Making, draining, resizing and removing logical units."""

import logging

from tgtcore import signals
from tgtcore.config import LogicalUnitConfig
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.lasting import to_the_end
from tgtcore.daemon.patience import Patience, end_tasks
from tgtcore.daemon.plugin_sets import makers_of_unit
from tgtcore.daemon.saved_state import SavedState
from tgtcore.daemon.schedule import follow
from tgtcore.daemon.snapshots import check_changeable, check_keeps
from tgtcore.daemon.stores import Stack, explain, open_stack
from tgtcore.daemon.things import lun_thing
from tgtcore.errors import ConfigError, StoreError, TgtError, describe
from tgtcore.logical_unit import Identity, LogicalUnit
from tgtcore.store import Claim, OpenStore

_log = logging.getLogger(__name__)


async def add_unit(inventory: Inventory, config: LogicalUnitConfig) -> None:
    """Open the stores of a logical unit and make it, or leave nothing behind.

    :raises StoreError: a store can't be opened.
    :raises ConfigError: the device type can't work with the store.
    """
    what = f"logical unit {config.name}"
    unique_id = config.unique_id or inventory.identities.get(config.name)
    stack: Stack | None = None
    store: OpenStore | None = None
    if config.store is not None:
        stack = await inventory.workers.call(
            open_stack, inventory.plugins.registry, config.store, what, undo=Stack.discard
        )
        assert stack is not None
    where = f"{what} on {config.store}" if config.store else what
    try:
        if stack is not None:
            store = OpenStore(
                config.name, stack.top, inventory.workers, read_only=config.read_only, concurrency=stack.concurrency
            )
            signals.emit(signals.store_opened, store)
        if config.snapshots is not None:
            check_keeps("it", stack, store)
        lu = _make(inventory, config, unique_id, store)
    except Exception as error:
        try:
            await _close_stores(inventory, store, stack, unmake=True)
        except StoreError as second:  # the user needs to know the first
            _log.error("%s", second)
        raise ConfigError(explain(where, error)) from error
    makers = makers_of_unit(inventory.plugins, config)
    for record in makers:
        record.leases.take(lu)
    unit = inventory.units[config.name] = Unit(config, lu, store, stack, makers)
    inventory.names.update(dict.fromkeys(_names(lu.identity), lu))
    follow(inventory, unit)
    signals.emit(signals.lu_added, lu)


def change_unit(inventory: Inventory, config: LogicalUnitConfig) -> None:
    """Change what can be changed about a logical unit that stays: when its snapshots are made.

    :raises ConfigError: its store can't keep any.
    """
    unit = inventory.units[config.name]
    if config.snapshots is not None:
        try:
            check_changeable(unit)
        except StoreError as error:
            raise ConfigError(str(error)) from error
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


def claim(lu: LogicalUnit, store: OpenStore) -> None:
    """Note that a logical unit uses a store.

    :raises StoreError: somebody else does, and they can't both.
    """
    store.claims.claim(Claim.WRITE_EXCLUSIVE if store.writable else Claim.READ_SHARED, str(lu))


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
        await _close_stores(inventory, unit.store, unit.stack, unmake=not unit.kept and not lu.accepted)
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
    :raises StoreError: the store can't, or won't.
    :raises ConfigError: the device can't have that size.
    """
    unit = usable_unit(inventory, name)
    store = unit.store
    if store is None:
        raise StoreError(f"{unit.lu} has no store")
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


async def _close_stores(
    inventory: Inventory, store: OpenStore | None, stack: Stack | None, *, unmake: bool = False
) -> None:
    if stack is None:
        return
    close = stack.top.close
    if store is not None:
        close = store.close
        await store.leases.drain(None)
    failures: list[Exception] = []
    for act in ([stack.unmake] if unmake else []) + [close, stack.close_bases]:
        try:
            await inventory.workers.call(act)
        except Exception as error:  # the others are closed all the same
            failures.append(error)
    if store is not None:
        signals.emit(signals.store_closed, store)
    if failures:
        reasons = "; ".join(describe(failure) for failure in failures)
        raise StoreError(f"{store or 'the store'} was not closed cleanly: {reasons}") from failures[0]
