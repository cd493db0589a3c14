"""Checking logical units and the stores beneath them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tgtcore.config.filters import check_filters
from tgtcore.config.models import FilterConfig, LogicalUnitConfig, LogicalUnitKeys, StoreConfig
from tgtcore.config.paths import absolute, paths_of
from tgtcore.config.positions import Place
from tgtcore.config.problems import Problems, expected
from tgtcore.registry import Registry, nearest
from tgtcore.store import Filter, Format

_CORE_KEYS = frozenset(LogicalUnitKeys.model_fields)
_NAMES = ("serial", "vendor", "product", "revision")
_STACK_DEPTH_MAX = 16
"""Formats and filters on top of each other; more is a mistake."""


def check_logical_unit(
    name: str, table: Any, registry: Registry, problems: Problems, base: Path
) -> tuple[LogicalUnitConfig | None, Any]:
    """Check ``[logical_units.NAME]``: the result, or None, and the table with absolute paths."""
    place: Place = ("logical_units", name)
    if not isinstance(table, dict):
        problems.add(place, "expected a table")
        return None, table
    table = dict(table)
    keys: LogicalUnitKeys | None = problems.check(
        place, LogicalUnitKeys, {key: value for key, value in table.items() if key in _CORE_KEYS}
    )
    device_type = table.get("device_type")
    cls = registry.device_types.get(device_type) if isinstance(device_type, str) else None
    if isinstance(device_type, str) and cls is None:
        problems.unknown((*place, "device_type"), "device type", device_type, registry.device_types)
    store = None
    if isinstance(table.get("store"), dict):
        checker = _Stores(registry, problems, base, read_only=table.get("read_only") is True)
        store, table["store"] = checker.check((*place, "store"), table["store"])
    elif cls is not None and cls.needs_store and "store" not in table:
        problems.add(place, 'the key "store" is missing: a logical unit of this device type needs one')
    filters: tuple[FilterConfig, ...] = ()
    if "filters" in table:
        filters, table["filters"] = check_filters(
            (*place, "filters"), table["filters"], registry, problems, base, on_store="store" in table
        )
    options = None
    if cls is not None:
        options = _check_device(place, table, cls.Options, problems)
    if keys is None or options is None or ("store" in table and store is None):
        return None, table
    names = {key: value for key in _NAMES if (value := getattr(keys, key)) is not None}
    unique_id = keys.unique_id.bytes if keys.unique_id else None
    made = LogicalUnitConfig(
        name, keys.device_type, options, store, keys.read_only, unique_id, names, keys.snapshots, filters
    )
    return made, table


def _check_device(place: Place, table: Mapping[str, Any], model: type[BaseModel], problems: Problems) -> Any:
    """The device type's keys stand beside the core's; where it wants one of the core's too, it gets it."""
    own = {key: value for key, value in table.items() if key not in _CORE_KEYS or key in model.model_fields}
    unknown = [key for key in own if key not in model.model_fields]
    if model.model_config.get("extra") == "forbid":
        known = sorted(_CORE_KEYS | set(model.model_fields))
        for key in unknown:
            problems.add((*place, key), f"unknown key{nearest(key, known)}{expected(known)}")
            del own[key]
    return problems.check(place, model, own)


def check_shared_paths(units: Mapping[str, LogicalUnitConfig | None], problems: Problems) -> None:
    """Any number of logical units may read a file, but one that writes to it must have it alone."""
    users: dict[Path, dict[str, bool]] = {}
    for name, unit in units.items():
        if unit is None or unit.store is None:
            continue
        for path in unit.store.paths:
            writes = path in unit.store.written
            others = users.setdefault(path.resolve(), {})
            for other, other_writes in others.items():
                if writes or other_writes:
                    problems.add(
                        ("logical_units", name, "store"),
                        f'{path} is the store of logical unit "{other}" too; one that writes to it must have it alone',
                    )
                    break
            others[name] = writes
    _check_filters_write_elsewhere(units, users, problems)


def _check_filters_write_elsewhere(
    units: Mapping[str, LogicalUnitConfig | None], users: Mapping[Path, Mapping[str, bool]], problems: Problems
) -> None:
    """A log in the place of a disk would destroy it."""
    for name, unit in units.items():
        for number, one in enumerate(unit.filters if unit is not None else ()):
            for path in paths_of(one.options):
                for other in users.get(path.resolve(), ()):
                    problems.add(
                        ("logical_units", name, "filters", number),
                        f'{path} is the store of logical unit "{other}"; a filter needs a file of its own',
                    )


def check_shared_names(units: Mapping[str, LogicalUnitConfig | None], problems: Problems) -> None:
    """Initiators take two logical units of one name for paths to the same medium, and destroy both.

    Those of which one writes to a file of the other are refused for that.
    """
    users: dict[tuple[str, object], LogicalUnitConfig] = {}
    for name, unit in units.items():
        if unit is None:
            continue
        for key, value in (("unique_id", unit.unique_id), ("serial", unit.names.get("serial"))):
            other = users.setdefault((key, value), unit)
            if value is not None and other is not unit and not _collide(other, unit):
                problems.add(
                    ("logical_units", name, key),
                    f'that of logical unit "{other.name}" too; initiators would take them for one and destroy both',
                )


def _collide(unit: LogicalUnitConfig, other: LogicalUnitConfig) -> bool:
    if unit.store is None or other.store is None:
        return False
    return bool(unit.store.written & other.store.paths or unit.store.paths & other.store.written)


class _Stores:
    """Checks one stack.

    :param read_only: whether the logical unit takes no writes.
    :param beneath: the format or filter that never writes to what is checked, if there is one.
    """

    def __init__(
        self, registry: Registry, problems: Problems, base: Path, *, read_only: bool, beneath: str | None = None
    ) -> None:
        self._registry = registry
        self._problems = problems
        self._base = base
        self._read_only = read_only
        self._beneath = beneath

    def check(self, place: Place, table: Any, depth: int = 0) -> tuple[StoreConfig | None, Any]:
        """Check a store and what it stands on: the result, or None, and the table with absolute paths."""
        if not isinstance(table, dict):
            self._problems.add(place, 'expected a table such as { type = "file", path = "disk.img" }')
            return None, table
        kind = table.get("type")
        if not isinstance(kind, str):
            known = self._registry.medium_names()
            self._problems.add(
                place, f'the key "type" is missing{expected(known)}' if kind is None else "type: expected a name"
            )
            return None, table
        registry = self._registry
        if (store := registry.stores.get(kind)) is not None:
            return self._simple(place, table, kind, store.Options)
        layer = registry.formats.get(kind) or registry.filters.get(kind)
        if kind in registry.command_filters:
            self._problems.add(
                (*place, "type"),
                f'{kind} is a filter on commands, not on storage calls: it belongs in the logical unit\'s key "filters", '
                f'filters = [{{ type = "{kind}" }}]',
            )
            return None, table
        if layer is None:
            self._problems.unknown((*place, "type"), "store", kind, registry.medium_names())
            return None, table
        return self._layer(place, table, kind, layer, depth)

    def _simple(
        self, place: Place, table: dict[str, Any], kind: str, model: type[BaseModel]
    ) -> tuple[StoreConfig | None, Any]:
        own, document = self._own_keys(table, model, "type")
        options = self._check_options(place, model, own)
        if options is None:
            return None, document
        return StoreConfig(kind, options, None, frozenset(paths_of(options)), self._written(options)), document

    def _layer(
        self, place: Place, table: dict[str, Any], kind: str, cls: type[Format] | type[Filter], depth: int
    ) -> tuple[StoreConfig | None, Any]:
        own, document = self._own_keys(table, cls.Options, "type", "base")
        options = self._check_options(place, cls.Options, own)
        base = None
        if "base" not in table:
            self._problems.add(place, f'the key "base" is missing: {kind} stands on another store')
        elif depth >= _STACK_DEPTH_MAX:
            self._problems.add((*place, "base"), f"more than {_STACK_DEPTH_MAX} stores stand on each other")
        else:
            checker = self if cls.writes_base else self._only_read_by(kind)
            base, document["base"] = checker.check((*place, "base"), table["base"], depth + 1)
        if options is None or base is None:
            return None, document
        paths = base.paths | frozenset(paths_of(options))
        return StoreConfig(kind, options, base, paths, base.written | self._written(options)), document

    def _only_read_by(self, kind: str) -> "_Stores":
        return _Stores(self._registry, self._problems, self._base, read_only=self._read_only, beneath=kind)

    def _check_options(self, place: Place, model: type[BaseModel], own: dict[str, Any]) -> BaseModel | None:
        options: BaseModel | None = self._problems.check(place, model, own)
        if self._beneath is not None and getattr(options, "read_only", True) is False:
            self._problems.add((*place, "read_only"), f"expected true: {self._beneath} only reads what it stands on")
        return options

    def _written(self, options: BaseModel) -> frozenset[Path]:
        """The files that may be written: all, where options can't tell that they are not."""
        if self._read_only or getattr(options, "read_only", False):
            return frozenset()
        return frozenset(paths_of(options))

    def _own_keys(
        self, table: dict[str, Any], model: type[BaseModel], *core: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The keys for the store's model and the table for the document, both with absolute paths."""
        document = absolute(model, table, self._base)
        own = {key: value for key, value in document.items() if key not in core}
        if (self._read_only or self._beneath) and "read_only" in model.model_fields:
            own.setdefault("read_only", True)
        return own, document
