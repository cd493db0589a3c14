"""Small changes of a configuration document, as verbs ask for them."""

import tomllib
from collections.abc import Iterable
from typing import Any

from tgtcore.errors import ConfigError


def entry(document: dict[str, Any], table: str, name: str) -> dict[str, Any]:
    """An existing entry of a table of named things."""
    found: dict[str, Any] = document[table][name]
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
    """Remove a named thing."""
    del document[table][name]


def lun_table(document: dict[str, Any], target: str, index: int) -> dict[str, Any]:
    """A LUN map of a target in the form LUN → logical unit, ready to be changed.

    :param index: 0 for the LUNs of everybody, else the number of the private map.
    """
    holder = entry(document, "targets", target)
    if index:
        holder = holder["private_luns"][index - 1]
    luns = holder.get("luns", {})
    if not isinstance(luns, dict):
        luns = dict(enumerate(luns))
    holder["luns"] = {str(int(lun)): name for lun, name in luns.items()}
    made: dict[str, Any] = holder["luns"]
    return made


def assign(assignments: Iterable[str]) -> dict[str, Any]:
    """A table of ``key.inner=value`` texts; values are TOML where they can be read as such, else strings.

    :raises ConfigError: one is no assignment, or two contradict each other.
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
        try:
            return tomllib.loads(f"value = {written}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            pass
    return written
