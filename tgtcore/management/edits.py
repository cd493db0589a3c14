"""Small changes of a configuration document, as verbs ask for them."""

import tomllib
from collections.abc import Iterable
from typing import Any

from tgtcore.config.key_parts import check_key_parts
from tgtcore.errors import ConfigError
from tgtcore.management.protocol import Code, VerbError
from tgtcore.registry import Registry, nearest


def entry(document: dict[str, Any], table: str, name: str) -> dict[str, Any]:
    """An existing entry of a table of named things.

    :raises VerbError: it is not there, or not any more.
    """
    found: dict[str, Any] | None = document.get(table, {}).get(name)
    if found is None:
        raise VerbError(Code.NOT_FOUND, f"{table}.{name} is not there")
    return found


def new_entry(document: dict[str, Any], table: str, name: str, values: dict[str, Any]) -> None:
    """Add a named thing.

    :raises ConfigError: there is one of that name.
    """
    entries = document.setdefault(table, {})
    if name in entries:
        raise ConfigError(f"{table}.{name} is there already")
    entries[name] = values


def remove_entry(document: dict[str, Any], table: str, name: str) -> None:
    """Remove a named thing.

    :raises VerbError: it is not there, or not any more.
    """
    entry(document, table, name)
    del document[table][name]


def lun_table(document: dict[str, Any], target: str, index: int) -> dict[str, Any]:
    """A LUN map of a target in the form LUN → logical unit, ready to be changed.

    :param index: 0 for the LUNs of everybody, else the number of the private map.
    :raises VerbError: there is no such target or map, or not any more.
    """
    holder = entry(document, "targets", target)
    if index:
        private = holder.get("private_luns", ())
        if index > len(private):
            raise VerbError(
                Code.NOT_FOUND, f"target {target} has {len(private)} private LUN maps, there is no number {index}"
            )
        holder = private[index - 1]
    luns = holder.get("luns", {})
    if not isinstance(luns, dict):
        luns = dict(enumerate(luns))
    holder["luns"] = {str(int(lun)): name for lun, name in luns.items()}
    made: dict[str, Any] = holder["luns"]
    return made


def remove_lun(document: dict[str, Any], target: str, index: int, lun: int) -> None:
    """Take a LUN out of a LUN map of a target.

    :param index: as in :func:`lun_table`.
    :raises VerbError: it is not there, or not any more.
    """
    if lun_table(document, target, index).pop(str(lun), None) is None:
        raise VerbError(Code.NOT_FOUND, f"target {target} has no LUN {lun}")


def filter_name(table: dict[str, Any]) -> str:
    """What a filter in a document is called."""
    name: str = table.get("name") or table["type"]
    return name


def add_filter(document: dict[str, Any], unit: str, table: dict[str, Any], before: str | None) -> None:
    """Give a logical unit one more filter.

    :param before: the one that comes right after it; None: it is the last.
    :raises VerbError: the logical unit is not there, or that filter.
    """
    filters = _filters(document, unit)
    filters.insert(len(filters) if before is None else _filter_index(filters, unit, before), table)


def remove_filter(document: dict[str, Any], unit: str, name: str) -> None:
    """Take a filter away from a logical unit.

    :raises VerbError: it is not there.
    """
    filters = _filters(document, unit)
    del filters[_filter_index(filters, unit, name)]
    if not filters:
        del document["logical_units"][unit]["filters"]


def change_filter(
    document: dict[str, Any], unit: str, name: str, values: dict[str, Any], unset: Iterable[str] = ()
) -> None:
    """Change keys of a filter.

    :param unset: keys that get their defaults.
    :raises VerbError: it is not there.
    """
    filters = _filters(document, unit)
    index = _filter_index(filters, unit, name)
    kept = {key: value for key, value in filters[index].items() if key not in set(unset) - {"type", "name"}}
    filters[index] = {**kept, **values}


def _filters(document: dict[str, Any], unit: str) -> list[dict[str, Any]]:
    """The filters of a logical unit, ready to be changed."""
    found: list[dict[str, Any]] = entry(document, "logical_units", unit).setdefault("filters", [])
    return found


def _filter_index(filters: list[dict[str, Any]], unit: str, name: str) -> int:
    names = [filter_name(table) for table in filters]
    if name not in names:
        raise VerbError(
            Code.NOT_FOUND,
            f'logical_units.{unit} has no filter called "{name}" in its key "filters"{nearest(name, names)}',
        )
    return names.index(name)


def remove_plugin(document: dict[str, Any], name: str, registry: Registry) -> None:
    """Remove a plugin, its own keys, and everything that is made from what it offers.

    :param registry: what the plugins offer now.
    :raises VerbError: it is not enabled, or not any more.
    """
    if name not in document.get("plugins", ()):
        raise VerbError(Code.NOT_FOUND, f'plugin "{name}" is not enabled')
    transports = set(registry.transports.by_plugin(name))
    device_types = set(registry.device_types.by_plugin(name))
    media = {medium for offers in registry.media() for medium in offers.by_plugin(name)}
    units = document.get("logical_units", {})
    gone = {key for key, unit in units.items() if unit["device_type"] in device_types or _media_of(unit) & media}
    document["plugins"] = [other for other in document["plugins"] if other != name]
    _remove_from(document, "plugin", {name})
    _remove_from(document, "logical_units", gone)
    filters = {one for offers in registry.filter_offers() for one in offers.by_plugin(name)}
    for unit in document.get("logical_units", {}).values():
        if "filters" in unit:
            unit["filters"] = [table for table in unit["filters"] if table["type"] not in filters]
    _remove_from(document, "transports", transports)
    targets = document.get("targets", {})
    _remove_from(document, "targets", {key for key, target in targets.items() if target["transport"] in transports})
    for target, settings in document.get("targets", {}).items():
        for index in range(1 + len(settings.get("private_luns", ()))):
            luns = lun_table(document, target, index)
            for lun in [lun for lun, unit in luns.items() if unit in gone]:
                del luns[lun]


def _remove_from(document: dict[str, Any], table: str, names: set[str]) -> None:
    if table in document:
        document[table] = {key: value for key, value in document[table].items() if key not in names}


def _media_of(unit: dict[str, Any]) -> set[str]:
    """The types of all stores, formats and filters of a logical unit."""
    found, layer = set(), unit.get("store")
    while layer is not None:
        found.add(layer["type"])
        layer = layer.get("base")
    return found


def assign(assignments: Iterable[str]) -> dict[str, Any]:
    """A table of ``key.inner=value`` texts; values are TOML where they can be read as such, else strings.

    :raises ConfigError: one is no assignment, or two contradict each other, or a value has a key of too many parts.
    """
    made: dict[str, Any] = {}
    for text in assignments:
        key, equals, written = text.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f'"{text}": expected KEY=VALUE, such as store.path=disk.img')
        here = made
        *outer, last = key.split(".")
        for part in outer:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                raise ConfigError(f'"{text}": {part} has a value already')
        if last in here:
            raise ConfigError(f'"{text}": {key} has a value already')
        here[last] = _value(written)
    return made


def _value(written: str) -> Any:
    if "\n" not in written:
        if written.lstrip().startswith(
            ("{", "[")
        ):  # else there are no keys in it, and dots are those of a name or a number
            check_key_parts(written)
        try:
            return tomllib.loads(f"value = {written}")["value"]
        except (ValueError, RecursionError):  # no TOML, or a whole number of thousands of digits
            pass
    return written
