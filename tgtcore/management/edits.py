"""Small changes of a configuration document, as verbs ask for them."""

import tomllib
from collections.abc import Iterable
from typing import Any

from tgtcore.errors import ConfigError
from tgtcore.management.protocol import Code, VerbError


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
