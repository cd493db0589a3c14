"""Carrying out the steps between two configurations: all of them, or none."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tgtcore import signals
from tgtcore.daemon.compare import Action, Kind, Step
from tgtcore.daemon.departures import Departures
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.plugin_sets import PluginChange, plugin_users, remove_plugin
from tgtcore.daemon.targets import (
    add_target,
    change_target,
    drop_nexuses,
    map_lun,
    nexus_users,
    refused_nexuses,
    remove_target,
    target_users,
    unmap_lun,
)
from tgtcore.daemon.transports import add_transport, change_transport, remove_transport, transport_users
from tgtcore.daemon.units import add_unit, remove_unit, unit_users
from tgtcore.errors import ConfigError, PluginError, TgtError
from tgtcore.loop import Turn

_log = logging.getLogger(__name__)

_INVERSE = {Action.ADD: Action.REMOVE, Action.REMOVE: Action.ADD, Action.CHANGE: Action.CHANGE}


class Applier:
    """Carries out steps, one after the other.

    What adds or changes is done, or raises and has done nothing.  What removes always counts as done, since its door is shut from
    the beginning; whatever goes wrong with it then is a complaint.

    :param inventory: what the steps add to and remove from.
    :param departures: what is going away.
    """

    def __init__(self, inventory: Inventory, departures: Departures) -> None:
        self._inventory = inventory
        self._departures = departures
        self._complaints: list[TgtError] = []
        self.lost: list[Step] = []
        """Steps of the last :meth:`apply` that failed and that could not be undone."""
        self._handlers: dict[Kind, Callable[[Step], Awaitable[None]]] = {
            Kind.ACCOUNT: self._account,
            Kind.DAEMON: self._daemon,
            Kind.LOGICAL_UNIT: self._logical_unit,
            Kind.LUN: self._lun,
            Kind.PLUGIN: self._plugin,
            Kind.TARGET: self._target,
            Kind.TRANSPORT: self._transport,
        }

    async def apply(self, steps: list[Step], plugins: PluginChange | None = None) -> list[TgtError]:
        """Do all steps; if one fails, undo those before it.

        :param plugins: the plugins that the steps need, where they are not those in force.
        :returns: complaints about removals: all was done, but something is still in use, or was not closed cleanly.
        :raises TgtError: the step that failed; nothing has changed but what is in ``lost``.
        """
        done: list[Step] = []
        self.lost = []
        self._complaints = []
        if plugins is not None:
            self._inventory.use_plugins(plugins.plugins)
        try:
            turn = Turn()
            for step in steps:
                await self._handlers[step.kind](step)
                done.append(step)
                await turn.over()
                _log.debug("done: %s", step)
            self._inventory.identities.keep()
        except Exception:
            if plugins is not None:
                self._inventory.use_plugins(plugins.before)
            await self._undo(done)
            raise
        self._inventory.keep_units()
        if plugins is not None:
            await self._finish(plugins)
        return self._complaints

    async def _finish(self, plugins: PluginChange) -> None:
        """Nothing can fail any more: tell of the plugins that are new, and see off those that are not wanted any more."""
        for record in plugins.added:
            signals.emit(signals.plugin_loaded, record)
        for record in plugins.removed:
            step = Step(Action.REMOVE, Kind.PLUGIN, record.name)
            removal = remove_plugin(self._inventory, record)
            await self._remove(step, f"plugin {record.name}", removal, plugin_users(record))

    async def _undo(self, done: list[Step]) -> None:
        self._inventory.identities.forget()
        for step in reversed(done):
            inverse = Step(_INVERSE[step.action], step.kind, step.name, step.detail, step.new, step.old, step.place)
            try:
                await self._handlers[step.kind](inverse)
            except Exception:
                _log.exception("could not undo: %s", step)
                self.lost.append(step)

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
        if step.action is Action.REMOVE:  # at the end, when nothing can fail any more
            return
        if step.action is Action.ADD:
            self._check_gone(step)
        plugins = self._inventory.plugins
        try:
            plugins.use_options({step.name: step.new})
        except PluginError:
            if step.old is not None:
                plugins.use_options({step.name: step.old})
            raise

    async def _transport(self, step: Step) -> None:
        if step.action is Action.ADD:
            self._check_gone(step)
            await add_transport(self._inventory, step.name, step.new)
        elif step.action is Action.CHANGE:
            await change_transport(self._inventory, step.name, step.new.options)
        else:
            users = transport_users(self._inventory, step.name)
            await self._remove(step, f"transport {step.name}", remove_transport(self._inventory, step.name), users)

    async def _logical_unit(self, step: Step) -> None:
        if step.action is Action.ADD:
            self._check_gone(step)
            await add_unit(self._inventory, step.new)
        else:
            users = unit_users(self._inventory, step.name)
            await self._remove(step, f"logical unit {step.name}", remove_unit(self._inventory, step.name), users)

    async def _target(self, step: Step) -> None:
        if step.action is Action.ADD:
            self._check_gone(step)
            add_target(self._inventory, step.new)
            return
        if step.action is Action.REMOVE:
            users = target_users(self._inventory, step.name)
            await self._remove(step, f"target {step.name}", remove_target(self._inventory, step.name), users)
        elif change_target(self._inventory, step.new):
            refused = refused_nexuses(self._inventory, step.name)
            dropping, users = drop_nexuses(self._inventory, refused), nexus_users(refused)
            await self._remove(step, f"a session that target {step.name} no longer admits", dropping, users)

    async def _lun(self, step: Step) -> None:
        assert step.place is not None
        index, lun, unit = step.place
        if step.action is Action.ADD:
            await map_lun(self._inventory, step.name, index, lun, unit)
        else:
            users = target_users(self._inventory, step.name, unit)
            removal = unmap_lun(self._inventory, step.name, index, lun)
            await self._remove(step, f"LUN {lun} of target {step.name}", removal, users)

    # ---- removals -----------------------------------------------------------------------------------------------------

    def _check_gone(self, step: Step) -> None:
        if (step.kind, step.name) in self._departures:
            raise ConfigError(f"{step.kind.value} {step.name} is still going away; try again later")

    async def _remove(
        self, step: Step, what: str, removal: Coroutine[Any, Any, None], users: Callable[[], list[str]]
    ) -> None:
        try:
            await self._departures.see_off((step.kind, step.name), what, removal, users)
        except TgtError as error:
            _log.warning("%s", error)
            self._complaints.append(error)
