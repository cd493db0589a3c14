"""Other filters for a logical unit that is in use: those on commands at once, those on storage calls while it is paused."""

import asyncio

from tgtcore.daemon.fitting import Fitted, Fitting
from tgtcore.daemon.flushing import flush
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.refit import Make, give_up, opened, refit, see_off, take
from tgtcore.daemon.stores import explain
from tgtcore.errors import DrainTimeout, StoreError, TgtError
from tgtcore.leases import Job
from tgtcore.logical_unit import Pause
from tgtcore.store import Filter


async def change_filters(inventory: Inventory, unit: Unit, make: Make, why: str, timeout_s: float) -> float:
    """Give a logical unit the filters that a configuration names; all of them, or none.

    :param make: what differs from what it is made from now are the filters, or their code.
    :param why: what it is for, as messages name it.
    :param timeout_s: how long commands that run may take to end, where it must be paused.
    :returns: for how many seconds it was paused.
    :raises DrainTimeout: they took longer.
    :raises StoreError: a filter can't be made, or the device can't work with it.
    :raises Draining: the logical unit is going away.
    """
    fitting = Fitting(str(unit.lu), make.plugins.registry, make.config.filters, unit.filters)
    change = _Change(inventory, unit, make, fitting)
    if not fitting.moves_storage:
        with unit.lu.leases.lease(Job(why)):
            try:
                await asyncio.wait_for(unit.lu.changing.acquire(), timeout_s)
            except TimeoutError:
                raise DrainTimeout(
                    f"{why} has not begun after {timeout_s:g} s: something else is changed there"
                ) from None
        await asyncio.shield(asyncio.ensure_future(change.beside()))
        return 0.0
    check_movable(unit)
    pause = Pause(unit.lu, why)
    change.stand_aside(True)
    try:
        async with asyncio.timeout(timeout_s):
            await flush(unit)  # so that little is left to do while it is paused
        await pause.begin(timeout_s)
    except TimeoutError:
        change.stand_aside(False)
        raise DrainTimeout(f"{why} has not begun after {timeout_s:g} s: the store takes long to flush") from None
    except BaseException:
        change.stand_aside(False)
        raise
    return await asyncio.shield(asyncio.ensure_future(change.beneath(pause)))


def check_movable(unit: Unit) -> None:
    """Refuse what needs another device under the eyes of initiators, where that can't be.

    :raises StoreError: it can't.
    """
    if not unit.lu.device.hands_over:
        raise StoreError(
            f"{unit.lu}: device type {unit.config.device_type} can't hand its state over (it does not set hands_over), so filters "
            "on storage calls can't come or go while it is in use; remove the logical unit and add it again"
        )


class _Change:
    """From some filters to others, to the end whether or not somebody still waits for that."""

    def __init__(self, inventory: Inventory, unit: Unit, make: Make, fitting: Fitting) -> None:
        self._inventory = inventory
        self._unit = unit
        self._make = make
        self._fitting = fitting

    def stand_aside(self, aside: bool) -> None:
        """Let those that go do nothing any more, all of them before anything is flushed: what one keeps goes through the others."""
        for part in self._fitting.gone:
            if isinstance(part.filter, Filter):
                part.filter.stand_aside(aside)

    async def beside(self) -> None:
        """Only filters on commands change: commands go on meanwhile.  Whoever calls this has the lock of who changes something."""
        try:
            fitted = await self._made()
            take(self._inventory, self._unit, self._make, fitted)
        finally:
            self._unit.lu.changing.release()
        await see_off(self._inventory, self._unit, fitted.gone)

    async def beneath(self, pause: Pause) -> float:
        """The stack changes.  What goes is flushed, so that it holds nothing that its base has not."""
        unit = self._unit
        try:
            await flush(unit)
            fitted = await self._made()
            try:
                assert fitted.stack is not None
                store = opened(self._inventory, self._make.config, fitted.stack)
                refit(self._inventory, unit, pause, self._make, fitted, store)
            except Exception as error:
                await give_up(self._inventory, unit, fitted)
                if isinstance(error, TgtError):
                    raise
                raise StoreError(explain(f"{unit.lu} can't work with these filters", error)) from error
        except BaseException:
            self.stand_aside(False)
            raise
        finally:
            pause.end()
        await see_off(self._inventory, unit, fitted.gone)
        return pause.lasted_s

    async def _made(self) -> Fitted:
        fitted: Fitted = await self._inventory.workers.call(self._fitting.make, self._unit.stack)
        return fitted
