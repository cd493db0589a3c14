"""Carrying out the steps between two configurations: all of them, or none."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tgtcore.daemon.compare import Action, Kind, Step
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.targets import add_target, change_target, map_lun, remove_target, unmap_lun
from tgtcore.daemon.transports import add_transport, change_transport, remove_transport
from tgtcore.daemon.units import add_unit, remove_unit
from tgtcore.errors import ConfigError, DrainTimeout

_log = logging.getLogger(__name__)

_LOGOUT_S = 5
"""What the end of a session may take besides the commands in it."""

_INVERSE = {Action.ADD: Action.REMOVE, Action.REMOVE: Action.ADD, Action.CHANGE: Action.CHANGE}


class Applier:
    """Carries out steps, one after the other.

    :param inventory: what the steps add to and remove from.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._lingering: dict[tuple[Kind, str], asyncio.Task[None]] = {}
        self._handlers: dict[Kind, Callable[[Step], Awaitable[None]]] = {
            Kind.ACCOUNT: self._account,
            Kind.DAEMON: self._daemon,
            Kind.LOGICAL_UNIT: self._logical_unit,
            Kind.LUN: self._lun,
            Kind.PLUGIN: self._plugin,
            Kind.TARGET: self._target,
            Kind.TRANSPORT: self._transport,
        }

    async def apply(self, steps: list[Step]) -> None:
        """Do all steps; if one fails, undo those before it.

        :raises DrainTimeout: all was done, but something removed is still in use; its removal goes on by itself.
        :raises TgtError: the step that failed; nothing has changed.
        """
        done: list[Step] = []
        overdue: list[DrainTimeout] = []
        for step in steps:
            try:
                await self._handlers[step.kind](step)
            except DrainTimeout as error:
                overdue.append(error)
            except BaseException:
                await self._undo(done)
                raise
            done.append(step)
            _log.debug("done: %s", step)
        try:
            self._inventory.identities.keep()
        except ConfigError:
            await self._undo(done)
            raise
        self._inventory.keep_units()
        if overdue:
            holders = [holder for error in overdue for holder in error.holders]
            raise DrainTimeout("\n".join(str(error) for error in overdue), holders)

    async def settle(self, timeout_s: float) -> None:
        """Wait for removals that took too long when they were asked for, then give them up."""
        tasks = list(self._lingering.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _undo(self, done: list[Step]) -> None:
        self._inventory.identities.forget()
        for step in reversed(done):
            inverse = Step(_INVERSE[step.action], step.kind, step.name, step.detail, step.new, step.old, step.place)
            try:
                await self._handlers[step.kind](inverse)
            except Exception:
                _log.exception("could not undo: %s", step)

    # ---- one kind of thing each ---------------------------------------------------------------------------------------

    async def _account(self, step: Step) -> None:
        if step.action is Action.REMOVE:
            del self._inventory.accounts[step.name]
        else:
            self._inventory.accounts[step.name] = step.new

    async def _daemon(self, step: Step) -> None:
        self._inventory.drain_s = step.new.drain_s
        logging.getLogger().setLevel(step.new.log_level.upper())

    async def _plugin(self, step: Step) -> None:
        if step.action is not Action.REMOVE:
            self._inventory.plugins.use_options({step.name: step.new})

    async def _transport(self, step: Step) -> None:
        if step.action is Action.ADD:
            await add_transport(self._inventory, step.name, step.new)
        elif step.action is Action.CHANGE:
            await change_transport(self._inventory, step.name, step.new)
        else:
            await remove_transport(self._inventory, step.name)

    async def _logical_unit(self, step: Step) -> None:
        if step.action is Action.ADD:
            self._check_gone(step)
            await add_unit(self._inventory, step.new)
        else:
            await self._remove(step, f"logical unit {step.name}", remove_unit(self._inventory, step.name))

    async def _target(self, step: Step) -> None:
        if step.action is Action.ADD:
            self._check_gone(step)
            add_target(self._inventory, step.new)
        elif step.action is Action.CHANGE:
            await change_target(self._inventory, step.new)
        else:
            await self._remove(step, f"target {step.name}", remove_target(self._inventory, step.name))

    async def _lun(self, step: Step) -> None:
        assert step.place is not None
        index, lun, unit = step.place
        if step.action is Action.ADD:
            await map_lun(self._inventory, step.name, index, lun, unit)
        else:
            what = f"LUN {lun} of target {step.name}"
            await self._remove(step, what, unmap_lun(self._inventory, step.name, index, lun))

    # ---- removals -----------------------------------------------------------------------------------------------------

    def _check_gone(self, step: Step) -> None:
        if (step.kind, step.name) in self._lingering:
            raise ConfigError(f"{step.kind.value} {step.name} is still going away; try again later")

    async def _remove(self, step: Step, what: str, removal: Coroutine[Any, Any, None]) -> None:
        """Remove something; what takes too long goes on in the background, its door shut.

        :raises DrainTimeout: names who still uses it.
        """
        key = (step.kind, f"{step.name} {step.place}" if step.place else step.name)
        task = self._lingering[key] = asyncio.ensure_future(removal)
        task.add_done_callback(lambda _: self._lingering.pop(key, None))
        timeout_s = self._inventory.drain_s + _LOGOUT_S
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        if done:
            task.result()
            return
        task.add_done_callback(_report)
        users = [f"{holder.name} ({holder.age_s:.1f} s)" for _, holder in self._inventory.holders()]
        raise DrainTimeout(f"{what} is still in use after {timeout_s:g} s by: {', '.join(users) or 'a worker'}", users)


def _report(task: "asyncio.Task[None]") -> None:
    """A late removal has ended; nobody waits for it any more."""
    if not task.cancelled() and task.exception() is not None:
        _log.error("a removal failed", exc_info=task.exception())
