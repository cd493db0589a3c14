"""Reloading a plugin: its new code takes over everything that its old code serves, or nothing of it."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tgtcore import signals
from tgtcore.config import Config, Source
from tgtcore.daemon.compare import Action, Step
from tgtcore.daemon.filters import change_filters
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.load import check_source
from tgtcore.daemon.plugin_sets import PluginChange, drop, makers_of_device
from tgtcore.daemon.refit import Make
from tgtcore.daemon.swap import swap
from tgtcore.daemon.things import Kind
from tgtcore.errors import ConfigError, PluginError, TgtError
from tgtcore.plugins import Loaded, Modules, Plugins, Record, load_anew, look_again

_log = logging.getLogger(__name__)


@dataclass
class Reload:
    """One reload.

    :param config: the configuration in force.
    :param name: the plugin; others of the same distribution share its code and are reloaded with it.
    :param timeout_s: how long commands that run may take to end, for each logical unit.
    :raises PluginError: there is no such plugin.
    """

    inventory: Inventory
    config: Config
    name: str
    timeout_s: float

    def __post_init__(self) -> None:
        self._before = self.inventory.plugins
        named = self._before.find(self.name)
        if named is None:
            raise PluginError(f'plugin "{self.name}" is not enabled')
        self._old = [record for record in self._before.records if record.distribution == named.distribution]
        self._names = [record.name for record in self._old]
        hosts = self.inventory.hosts.items()
        self._transports = [name for name, host in hosts if host.maker in self._old]
        self._units = [unit for unit in self.inventory.units.values() if any(one in self._old for one in unit.makers)]

    async def run(self) -> tuple[Config, list[Step]]:
        """Do it; returns the configuration as the new code has checked it, and what was done.

        :raises ConfigError: what is in use does not allow it, or the new code does not take the configuration.
        :raises PluginError: the new code can't be imported, or does not fit.
        :raises DrainTimeout: a command ran for too long.
        :raises StoreError: a logical unit can't be served by the new code.
        """
        problems = list(self._obstacles())
        if problems:
            raise ConfigError(*problems)
        loaded, old_modules = await asyncio.to_thread(_anew, self._old)
        try:
            change = PluginChange.of(self._before, self._in_place(loaded))
            try:
                config, steps = await self._take_over(change)
            except BaseException:
                self.inventory.use_plugins(self._before)
                change.discard()
                raise
        except BaseException:
            old_modules.put_back()
            raise
        self._let_go(change, old_modules, config)
        return config, steps

    async def restart_drivers(self, config: Config) -> list[Step]:
        """Let transports in processes of their own run the new code too: there is no way back, so they come last.

        :raises ConfigError: one does not serve yet.
        """
        steps: list[Step] = []
        for name in self._transports:
            driver = self.inventory.transports[name]
            done = await driver.reload(config.transports[name].options, self.inventory.drain_s)
            steps.append(Step(Action.RELOAD, Kind.TRANSPORT, name, done))
        return steps

    def _in_place(self, loaded: Loaded) -> Loaded:
        """The new records in the places of the old ones."""
        fresh = {record.name: record for record in loaded.records}
        return Loaded([fresh.get(record.name, record) for record in self._before.records], loaded.modules)

    def _obstacles(self) -> Iterator[str]:
        """Everything because of which a reload can't even be tried."""
        for name in self._transports:
            if name not in self.config.transports:
                yield f"transport {name} is still going away; try again later"
            elif not self.inventory.transports[name].reloads:
                yield (
                    f"transport {name} runs in the daemon, and its sessions can't outlive its code; restart the daemon, or give "
                    'it a process of its own: isolation = "process"'
                )
        for unit in self._units:
            yield from self._obstacles_of(unit)

    def _obstacles_of(self, unit: Unit) -> Iterator[str]:
        lu = unit.lu
        if lu.name not in self.config.logical_units or lu.leases.draining:
            yield f"{lu} is still going away; try again later"
            return  # the plugin that has made it may be gone already
        if self._makes_only_filters_of(unit):  # what they need is seen when they are changed
            return
        if not lu.device.hands_over:
            yield (
                f"{lu}: device type {unit.config.device_type} can't hand its state over to new code (it does not set hands_over); "
                f"restart the daemon, or remove the logical unit and add it again"
            )
        stores = unit.stack.stores if unit.stack is not None else []
        if unit.store is not None and unit.store.writable and not all(store.persistent for store in stores):
            yield (
                f"{lu}: its store {unit.config.store} loses its content when it is closed, or does not set persistent; "
                "remove the logical unit first"
            )

    async def _take_over(self, change: PluginChange) -> tuple[Config, list[Step]]:
        source = Source(self.config.document, Path("/"))
        checked = await asyncio.to_thread(check_source, source, change.plugins)
        config = self._merged(checked)
        self.inventory.use_plugins(change.plugins)
        change.plugins.use_options({name: config.plugin[name] for name in self._names})
        steps = [_plugin_step(old, new) for old, new in zip(change.removed, change.added, strict=True)]
        done: list[Unit] = []
        try:
            for unit in self._units:
                old, new = self._makes(unit, change.plugins, config)
                pause_s = await self._swap(unit, old, new)
                done.append(unit)
                detail = f"paused for {pause_s * 1000:.0f} ms"
                steps.append(Step(Action.RELOAD, Kind.LOGICAL_UNIT, unit.lu.name, detail))
        except BaseException:
            for unit in done:
                await self._swap_back(unit, change.plugins, config)
            raise
        return config, steps

    async def _swap_back(self, unit: Unit, plugins: Plugins, config: Config) -> None:
        """All or nothing: what serves well already goes back too."""
        old, new = self._makes(unit, plugins, config)
        try:
            await self._swap(unit, new, old)
        except TgtError as error:
            _log.error("%s is still served by the new code: %s", unit.lu, error)

    def _makes(self, unit: Unit, plugins: Plugins, config: Config) -> tuple[Make, Make]:
        name = unit.lu.name
        return Make(self._before, self.config.logical_units[name]), Make(plugins, config.logical_units[name])

    async def _swap(self, unit: Unit, present: Make, wanted: Make) -> float:
        why = f"the reload of plugin {self.name}"
        if self._makes_only_filters_of(unit):
            return await change_filters(self.inventory, unit, wanted, why, self.timeout_s)
        return await swap(self.inventory, unit, present, wanted, why, self.timeout_s)

    def _makes_only_filters_of(self, unit: Unit) -> bool:
        """Whether its device and its stores can stay as they are."""
        return not any(one.name in self._names for one in makers_of_device(self.inventory.plugins, unit.config))

    def _merged(self, checked: Config) -> Config:
        """The configuration in force, with what belongs to the new code as that has checked it."""
        units = {unit.lu.name: checked.logical_units[unit.lu.name] for unit in self._units}
        plugin = {name: checked.plugin[name] for name in self._names}
        transports = {name: checked.transports[name] for name in self._transports}
        targets = {name: one for name, one in checked.targets.items() if one.transport in transports}
        return replace(
            self.config,
            transports={**self.config.transports, **transports},
            targets={**self.config.targets, **targets},
            logical_units={**self.config.logical_units, **units},
            plugin={**self.config.plugin, **plugin},
        )

    def _let_go(self, change: PluginChange, old_modules: Modules, config: Config) -> None:
        for name in self._transports:
            self.inventory.hosts[name].remade()
        for name, target in self.inventory.targets.items():
            if name in config.targets:  # others are going away
                target.options = config.targets[name].options
        for old, new in zip(change.removed, change.added, strict=True):
            drop(old, old_modules)
            signals.emit(signals.plugin_loaded, new)


def _anew(records: list[Record]) -> tuple[Loaded, Modules]:
    look_again()
    return load_anew(records)


def _plugin_step(old: Record, new: Record) -> Step:
    return Step(Action.RELOAD, Kind.PLUGIN, new.name, f"{old.version} -> {new.version}")
