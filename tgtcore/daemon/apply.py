"""Carrying out the steps between two configurations: all of them, or none."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from tgtcore import signals
from tgtcore.daemon.compare import Action, Step
from tgtcore.daemon.departures import Departure, Departures
from tgtcore.daemon.drains import Leave, forget_drained
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.luns import map_lun, unmap_lun
from tgtcore.daemon.patience import Patience
from tgtcore.daemon.plugin_sets import PluginChange, remove_plugin
from tgtcore.daemon.portals import addresses_of
from tgtcore.daemon.targets import add_target, change_target, end_nexuses, refused_nexuses, remove_target
from tgtcore.daemon.things import Kind, Thing
from tgtcore.daemon.transports import add_transport, change_transport, remove_transport
from tgtcore.daemon.units import add_unit, change_unit, remove_unit
from tgtcore.daemon.users import nexus_users, users_of
from tgtcore.errors import ConfigError, PluginError, TgtError
from tgtcore.loop import Turn
from tgtcore.plugins import Record

_log = logging.getLogger(__name__)

_INVERSE = {Action.ADD: Action.REMOVE, Action.REMOVE: Action.ADD, Action.CHANGE: Action.CHANGE}


class Applier:
    """Carries out steps, one after the other.

    What adds or changes is done, or raises and has done nothing.  What removes always counts as done, since its door is shut from
    the beginning; whatever goes wrong with it then is a complaint.  It is waited for where something is made afterwards, which may
    need what it has.

    :param inventory: what the steps add to and remove from.
    :param departures: what is going away.
    """

    def __init__(self, inventory: Inventory, departures: Departures) -> None:
        self._inventory = inventory
        self._departures = departures
        self._leaving: list[Departure] = []
        self._deadline_s: float | None = None
        self.complaints: list[TgtError] = []
        """What the last :meth:`apply` has against removals that it has waited for."""
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

    async def apply(
        self, steps: list[Step], plugins: PluginChange | None = None, deadline_s: float | None = None
    ) -> list[Departure]:
        """Do all steps; if one fails, undo those before it.

        :param plugins: the plugins that the steps need, where they are not those in force.
        :param deadline_s: how long commands may take to end by themselves where something is removed.
        :returns: what is still going away: all was done, but for what nobody has waited for yet.
        :raises TgtError: the step that failed; nothing has changed but what is in ``lost``.
        """
        done: list[Step] = []
        self.lost = []
        if plugins is not None:
            self._inventory.use_plugins(plugins.plugins)
        self.complaints = []
        self._leaving = []
        self._deadline_s = deadline_s
        try:
            turn = Turn()
            for step in steps:
                if step.action is not Action.REMOVE:
                    await self._see_off()
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
            self._finish(plugins)
        leaving, self._leaving = self._leaving, []
        return leaving

    def _finish(self, plugins: PluginChange) -> None:
        """Nothing can fail any more: tell of the plugins that are new, and see off those that are not wanted any more."""
        for record in plugins.added:
            signals.emit(signals.plugin_loaded, record)
        for record in plugins.removed:
            step = Step(Action.REMOVE, Kind.PLUGIN, record.name)
            leave = partial(_remove_plugin, self._inventory, record)
            users = record.leases.holders
            self._leaving.append(
                self._departures.begin(step.thing, leave, users, deadline_s=self._deadline_s, step=step)
            )

    async def _undo(self, done: list[Step]) -> None:
        self._inventory.identities.forget()
        await self._see_off()
        for step in reversed(done):
            inverse = Step(_INVERSE[step.action], step.kind, step.name, step.detail, step.new, step.old, step.place)
            try:
                await self._handlers[step.kind](inverse)
                await self._see_off()
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
            self._check_gone(step.thing)
        plugins = self._inventory.plugins
        try:
            plugins.use_options({step.name: step.new})
        except PluginError:
            if step.old is not None:
                plugins.use_options({step.name: step.old})
            raise

    async def _transport(self, step: Step) -> None:
        if step.action is Action.ADD:
            self._check_gone(step.thing)
            await add_transport(self._inventory, step.name, step.new)
        elif step.action is Action.CHANGE:
            await change_transport(self._inventory, step.name, step.new.options)
            for address in addresses_of(step.new.options) - addresses_of(step.old.options):
                self._departures.succeed(Thing(Kind.PORTAL, step.name, address))
        else:
            await self._remove(step, lambda patience: remove_transport(self._inventory, step.name, patience))

    async def _logical_unit(self, step: Step) -> None:
        if step.action is Action.ADD:
            self._check_gone(step.thing)
            await add_unit(self._inventory, step.new)
        elif step.action is Action.CHANGE:
            await change_unit(self._inventory, step.new)
        else:
            await self._remove(step, lambda patience: remove_unit(self._inventory, step.name, patience))

    async def _target(self, step: Step) -> None:
        if step.action is Action.ADD:
            self._check_gone(step.thing)
            self._check_stay(unit for lun_map in step.new.maps() for unit in lun_map.luns.values())
            add_target(self._inventory, step.new)
        elif step.action is Action.REMOVE:
            await self._remove(step, lambda patience: remove_target(self._inventory, step.name, patience))
        elif change_target(self._inventory, step.new):
            self._end_refused(step)

    async def _lun(self, step: Step) -> None:
        assert step.place is not None
        index, lun, unit = step.place
        if step.action is Action.ADD:
            self._check_stay([unit])
            await map_lun(self._inventory, step.name, index, lun, unit)
            self._departures.succeed(step.thing)
        else:
            await self._remove(step, lambda patience: unmap_lun(self._inventory, step.name, index, lun, patience))

    # ---- removals -----------------------------------------------------------------------------------------------------

    def _check_gone(self, thing: Thing) -> None:
        if thing in self._departures:
            raise ConfigError(f"{thing} is still going away; try again later")

    def _check_stay(self, units: Iterable[str]) -> None:
        """Nothing is mapped that is to go, even if its removal still waits for other things and has not shut its door."""
        for unit in units:
            self._check_gone(Thing(Kind.LOGICAL_UNIT, unit))

    async def _remove(self, step: Step, leave: Leave) -> None:
        """Begin to remove something; a logical unit goes after everything that it is mapped in."""
        forget_drained(self._inventory, step.thing)
        before = tuple(self._leaving) if step.kind is Kind.LOGICAL_UNIT else ()
        users = await users_of(self._inventory, step.thing)
        self._leaving.append(
            self._departures.begin(step.thing, leave, users, deadline_s=self._deadline_s, step=step, after=before)
        )

    def _end_refused(self, step: Step) -> None:
        """Those whom a target no longer admits go at once."""
        refused = refused_nexuses(self._inventory, step.name)
        if refused:
            self._leaving.append(
                self._departures.begin(
                    Thing(Kind.SESSION, step.name, "that is no longer admitted"),
                    lambda patience: end_nexuses(self._inventory, step.name, refused, patience),
                    nexus_users(refused),
                    deadline_s=0,
                )
            )

    async def _see_off(self) -> None:
        """Wait for what is leaving."""
        leaving, self._leaving = self._leaving, []
        self.complaints += await self._departures.outcome(leaving)


async def _remove_plugin(inventory: Inventory, record: Record, patience: Patience) -> None:
    """It has no commands of its own: it goes when what was built from it has gone."""
    await remove_plugin(inventory, record)
