"""Giving a live logical unit the present code of its device type and stores: its initiators see only a delay.

The old store is closed before the new one is opened, since it may hold a lock on its medium.  Whatever goes wrong then, the old
code opens it again; and if that fails too, the logical unit is offline, and a store that knows nothing stands in.
"""

import asyncio
import errno
import logging
from typing import Any, NoReturn

from tgtcore.daemon.fitting import Fitted, beside_the_stack, open_all
from tgtcore.daemon.flushing import flush
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.refit import Make, opened, refit, see_off
from tgtcore.daemon.stores import Stack, close_stack, explain
from tgtcore.errors import StoreError, describe
from tgtcore.logical_unit import Pause
from tgtcore.store import Features, OpenStore, Store

_log = logging.getLogger(__name__)


async def swap(inventory: Inventory, unit: Unit, old: Make, new: Make, why: str, timeout_s: float) -> float:
    """Make a logical unit from other code; it is paused for that.  Returns for how many seconds.

    :param old: what it is made from now.
    :param why: what it is for, as messages name it.
    :param timeout_s: how long commands that run may take to end.
    :raises DrainTimeout: they took longer; nothing has changed.
    :raises StoreError: the new code can't serve it; the old code does again, if the message says nothing else.
    """
    if unit.store is not None:
        await flush(unit)  # so that little is left to do while it is paused
    pause = Pause(unit.lu, why)
    await pause.begin(timeout_s)
    return await asyncio.shield(asyncio.ensure_future(_Swap(inventory, unit, pause).run(old, new)))


class _Swap:
    """A logical unit on its way from one code to another, to the end whether or not somebody still waits for that."""

    def __init__(self, inventory: Inventory, unit: Unit, pause: Pause) -> None:
        self._inventory = inventory
        self._unit = unit
        self._pause = pause
        self._was = unit.store

    async def run(self, old: Make, new: Make) -> float:
        unit = self._unit
        lost = isinstance(unit.stack and unit.stack.top, LostStore)
        try:
            if unit.store is not None:
                await flush(unit)
        except BaseException:
            self._pause.end()
            raise
        await self._close()
        try:
            await self._fit(new)
        except Exception as error:
            await self._go_back(old, error)
        if lost:
            unit.lu.set_online(True)
        self._pause.end()
        return self._pause.lasted_s

    async def _close(self) -> None:
        """Everything is flushed, so an error here loses nothing."""
        if self._unit.stack is None:
            return
        try:
            await self._inventory.workers.call(close_stack, self._unit.stack)
        except Exception as error:
            _log.warning("%s was not closed cleanly for a reload: %s", self._unit.store, describe(error))

    async def _go_back(self, old: Make, error: Exception) -> NoReturn:
        lu = self._unit.lu
        reason = explain(f"{lu} can't be served by the new code", error)
        try:
            if self._was is not None:  # else the old device has lost nothing
                await self._fit(old)
        except Exception as second:
            self._lose(old)
            self._pause.end()
            again = explain("the old code failed too", second)
            raise StoreError(
                f"{reason}; {again}; it is offline now: reload the plugin once more, or restart"
            ) from error
        self._pause.end()
        raise StoreError(f"{reason}; the old code serves it") from error

    async def _fit(self, make: Make) -> None:
        """Open the stores, make the filters and the device; or raise, with nothing open that was not before."""
        unit, config, call = self._unit, make.config, self._inventory.workers.call
        fitted: Fitted = await call(open_all, make.plugins.registry, config, str(unit.lu), unit.filters)
        try:
            store = None
            if fitted.stack is not None:
                store = opened(self._inventory, config, fitted.stack)
                _check_offers(self._was, store)
            refit(self._inventory, unit, self._pause, make, fitted, store)
        except BaseException:
            await see_off(self._inventory, unit, beside_the_stack(fitted.fresh))
            if fitted.stack is not None:
                await call(close_stack, fitted.stack)
            raise
        await see_off(self._inventory, unit, fitted.gone)

    def _lose(self, old: Make) -> None:
        """Nothing can open the store: a logical unit without one must not acknowledge anything."""
        assert self._was is not None
        stack = Stack([LostStore(self._was)])
        self._unit.lu.set_online(False)
        fitted = Fitted(tuple(beside_the_stack(self._unit.filters)), stack)
        refit(self._inventory, self._unit, self._pause, old, fitted, opened(self._inventory, old.config, stack))


def _check_offers(old: OpenStore | None, new: OpenStore) -> None:
    """Initiators rely on what they have been offered.

    :raises StoreError: something is missing.
    """
    if old is None:
        return
    missing = old.features_shown & ~new.features
    if missing:
        names = ", ".join(str(feature.name).lower() for feature in Features if feature in missing)
        raise StoreError(f"its store does not offer {names} any more, and initiators rely on that")
    if new.size_bytes < old.size_bytes:
        raise StoreError(f"its store has {new.size_bytes} bytes, expected {old.size_bytes} or more")


class LostStore(Store):
    """Stands in for a store that could not be opened again: the same from outside, and every access fails.

    :param lost: the store that was there, closed.
    """

    persistent = True

    def __init__(self, lost: OpenStore) -> None:
        self._features = lost.features
        self.size_bytes = lost.size_bytes
        for name in ("block_bytes", "preferred_bytes", "rotational", "concurrency"):
            setattr(self, name, getattr(lost.store, name))

    def features(self) -> Features:
        """Those of the lost one."""
        return self._features

    def _gone(self, *_: Any) -> NoReturn:
        raise OSError(errno.ENODEV, "the store could not be opened again after a reload")

    read = write = write_through = unmap = write_zeroes = extents = resize = _gone  # type: ignore[assignment]
    list_snapshots = create_snapshot = delete_snapshot = revert_snapshot = _gone  # type: ignore[assignment]

    def flush(self) -> None:
        """Nothing has been written since the lost store was flushed and closed."""
