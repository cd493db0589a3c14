"""Checking a whole configuration: every key, every reference, all problems at once."""

import os
from collections.abc import Callable, Mapping
from inspect import isabstract
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tgtcore.config.logical_units import check_logical_unit, check_shared_names, check_shared_paths
from tgtcore.config.models import (
    EMPTY,
    AccountConfig,
    AccountOptions,
    Config,
    DaemonOptions,
    Name,
    TransportConfig,
    TransportKeys,
)
from tgtcore.config.paths import absolute
from tgtcore.config.problems import Problems
from tgtcore.config.reader import Source
from tgtcore.config.secrets import BadSecret, read_secret
from tgtcore.config.targets import check_own_keys, check_target
from tgtcore.options import NoOptions
from tgtcore.registry import Registry, nearest

_TABLES = ("accounts", "daemon", "logical_units", "plugin", "plugins", "targets", "transports")
_names: TypeAdapter[str] = TypeAdapter(Name)

PluginModel = Callable[[str], type[BaseModel]]
"""The options model of an enabled plugin."""


def plugin_names(source: Source) -> list[str]:
    """The plugins that a configuration enables: what must be known before the rest can be checked.

    :raises ConfigError: the key is missing or is no list of names.
    """
    problems = source.problems()
    names = source.document.get("plugins")
    if names is None:
        problems.add(
            (), 'the key "plugins" is missing: name the plugins to enable, such as plugins = ["iscsi", "disk", "file"]'
        )
    elif not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        problems.add(("plugins",), "expected a list of plugin names")
    problems.raise_if_any()
    assert names is not None
    return list(names)


def check(
    source: Source,
    registry: Registry,
    plugin_model: PluginModel = lambda name: NoOptions,
    environ: Mapping[str, str] = os.environ,
    known: Config = EMPTY,
) -> Config:
    """Check everything that the file itself shows.

    :param registry: what the enabled plugins offer.
    :param known: was checked with the same registry: logical units that are the same there are taken from it.
    :raises ConfigError: with every problem.
    """
    problems = source.problems()
    checker = _Checker(source, registry, problems, environ, known)
    config = checker.check(plugin_model)
    problems.raise_if_any()
    return config


class _Checker:
    def __init__(
        self, source: Source, registry: Registry, problems: Problems, environ: Mapping[str, str], known: Config
    ) -> None:
        self._source = source
        self._known = known
        self._known_units: Mapping[str, Any] = known.document.get("logical_units", {})
        self._registry = registry
        self._problems = problems
        self._environ = environ
        self._document: dict[str, Any] = dict(source.document)

    def check(self, plugin_model: PluginModel) -> Config:
        for key in self._document:
            if key not in _TABLES:
                self._problems.add(
                    (key,), f"unknown key{nearest(key, _TABLES)} (expected one of: {', '.join(_TABLES)})"
                )
        plugins = tuple(self._document.get("plugins", ()))
        daemon = self._model(("daemon",), DaemonOptions, self._document.get("daemon", {}))
        accounts = self._each("accounts", self._account)
        options = self._each("plugin", lambda name, table: self._plugin(name, table, plugins, plugin_model))
        for name in plugins:
            if name not in options:
                options[name] = self._problems.check(("plugin", name), plugin_model(name), {})
        units = self._each("logical_units", self._logical_unit)
        check_shared_paths(units, self._problems)
        check_shared_names(units, self._problems)
        targets = self._each("targets", self._target)
        transports = self._each("transports", self._transport)
        for target in targets.values():
            if target is not None and target.transport not in transports:
                transports[target.transport] = self._transport(target.transport, {})
        return Config(self._document, plugins, daemon, accounts, transports, units, targets, options)

    def _each(self, table: str, check: Callable[[str, Any], Any]) -> dict[str, Any]:
        """Check each entry of a table of named things."""
        entries = self._document.get(table, {})
        if not isinstance(entries, dict):
            self._problems.add((table,), "expected a table")
            return {}
        self._document[table] = dict(entries)
        return {name: check(name, entry) for name, entry in entries.items()}

    def _model(self, place: tuple[str, ...], model: type[BaseModel], table: Any) -> Any:
        """Check one table and keep it with absolute paths."""
        made = absolute(model, table, self._source.base)
        if len(place) == 2:
            self._document[place[0]][place[1]] = made
        elif place[0] in self._document:
            self._document[place[0]] = made
        return self._problems.check(place, model, made)

    def _name(self, place: tuple[str, ...], name: str) -> None:
        try:
            _names.validate_python(name)
        except ValidationError:
            self._problems.add(
                place, "expected a name of at most 64 letters, digits, '.', '_' and '-', a letter or digit first"
            )

    def _account(self, name: str, table: Any) -> AccountConfig | None:
        place = ("accounts", name)
        self._name(place, name)
        options: AccountOptions | None = self._model(place, AccountOptions, table)
        if options is None:
            return None
        try:
            return AccountConfig(options.user or name, read_secret(options, self._environ))
        except BadSecret as error:
            self._problems.add(place, str(error))
            return None

    def _plugin(self, name: str, table: Any, plugins: tuple[str, ...], plugin_model: PluginModel) -> BaseModel | None:
        if name not in plugins:
            self._problems.unknown(("plugin", name), "enabled plugin", name, plugins)
            return None
        found: BaseModel | None = self._model(("plugin", name), plugin_model(name), table)
        return found

    def _transport(self, name: str, table: Any) -> TransportConfig | None:
        cls = self._registry.transports.get(name)
        if cls is None:
            self._problems.unknown(("transports", name), "transport", name, self._registry.transports)
            return None
        self._document.setdefault("transports", {}).setdefault(name, table)
        place = ("transports", name)
        if not isinstance(table, dict):
            self._problems.add(place, "expected a table")
            return None
        made = absolute(TransportKeys, absolute(cls.Options, table, self._source.base), self._source.base)
        self._document["transports"][name] = made
        own = {key: value for key, value in made.items() if key in TransportKeys.model_fields}
        keys: TransportKeys | None = self._problems.check(place, TransportKeys, own)
        options = check_own_keys(place, made, TransportKeys, cls.Options, self._problems)
        if keys is not None and keys.isolation != "attached" and isabstract(cls):
            self._problems.add(
                (*place, "isolation"), f'the driver of {name} is a program of its own: expected "attached"'
            )
        return TransportConfig(options, keys) if keys is not None and options is not None else None

    def _logical_unit(self, name: str, table: Any) -> Any:
        if table == self._known_units.get(name):
            self._document["logical_units"][name] = self._known_units[name]
            return self._known.logical_units[name]
        self._name(("logical_units", name), name)
        made, document = check_logical_unit(name, table, self._registry, self._problems, self._source.base)
        self._document["logical_units"][name] = document
        return made

    def _target(self, name: str, table: Any) -> Any:
        units: Mapping[str, Any] = self._document.get("logical_units", {})
        return check_target(name, table, self._registry, self._problems, units)
