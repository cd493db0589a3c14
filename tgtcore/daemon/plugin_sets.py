"""From one set of enabled plugins to another while the daemon runs: all or nothing."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from tgtcore import signals
from tgtcore.config import LogicalUnitConfig
from tgtcore.daemon.inventory import Inventory
from tgtcore.plugins import Loaded, Modules, Plugins, Record, load, look_again, modules_of
from tgtcore.registry import Offers


class PluginChange:
    """Another set of plugins, ready to take the place of the present one.

    :param before: the present ones.
    :param plugins: those that are wanted.
    :param modules: what was imported for them.
    """

    def __init__(self, before: Plugins, plugins: Plugins, modules: Modules) -> None:
        self.before = before
        self.plugins = plugins
        self._modules = modules

    @classmethod
    def of(cls, before: Plugins, loaded: Loaded) -> "PluginChange":
        """To plugins that were imported.

        :raises PluginError: they don't go together; nothing is left of what was imported for them.
        """
        try:
            return cls(before, Plugins(loaded.records, before), loaded.modules)
        except BaseException:
            _discard(loaded.modules)
            raise

    @classmethod
    async def to(cls, before: Plugins, names: list[str]) -> "PluginChange":
        """Find and import what is new, on a thread: an import may take long, and initiators must not notice.

        :raises PluginError: one can't be used.
        """
        if names == before.names:
            return cls(before, before, Modules({}))
        present = {record.name: record for record in before.records}
        return cls.of(before, await asyncio.to_thread(_loaded, names, present))

    @property
    def added(self) -> list[Record]:
        """Plugins that are new."""
        return [record for record in self.plugins.records if record not in self.before.records]

    @property
    def removed(self) -> list[Record]:
        """Plugins that are not wanted any more."""
        return [record for record in self.before.records if record not in self.plugins.records]

    def discard(self) -> None:
        """They are not to be in force after all."""
        _discard(self._modules)


def _discard(modules: Modules) -> None:
    modules.stop_listening()
    modules.take_out()


def _loaded(names: list[str], present: dict[str, Record]) -> Loaded:
    if not present.keys() >= set(names):
        look_again()
    return load(names, present)


async def remove_plugin(inventory: Inventory, record: Record) -> None:
    """Drop the code of a plugin as soon as nothing is left of what was built from it."""
    record.leases.shut()
    await record.leases.drain(None)
    drop(record, modules_of([record]).but(modules_of(inventory.plugins.records)))


def drop(record: Record, modules: Modules) -> None:
    """Let go of one version of a plugin's code."""
    _discard(modules)
    record.plugin = None
    signals.emit(signals.plugin_unloaded, record)


def makers_of_unit(plugins: Plugins, config: LogicalUnitConfig) -> list[Record]:
    """The plugins that a logical unit is made from."""
    kinds = plugins.registry.filter_offers()
    filters = (_owner(plugins, kinds, one.type) for one in config.filters)
    return list(dict.fromkeys([*makers_of_device(plugins, config), *filters]))


def makers_of_device(plugins: Plugins, config: LogicalUnitConfig) -> list[Record]:
    """The plugins that its device and its stores are made from, without its filters, which may come and go."""
    return list(dict.fromkeys(_makers(plugins, config)))


def _makers(plugins: Plugins, config: LogicalUnitConfig) -> Iterator[Record]:
    registry, layer = plugins.registry, config.store
    yield plugins.owner(registry.device_types, config.device_type)
    while layer is not None:
        yield _owner(plugins, registry.media(), layer.type)
        layer = layer.base


def _owner(plugins: Plugins, kinds: Iterable[Offers[Any]], name: str) -> Record:
    return plugins.owner(next(offers for offers in kinds if name in offers), name)
