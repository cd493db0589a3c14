"""Writing a configuration as TOML."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import InlineTable, Table

_TABLES_OF_TABLES = frozenset({"accounts", "logical_units", "plugin", "targets", "transports"})


def to_toml(document: Mapping[str, Any]) -> str:
    """A document as text: a table for each thing, small tables inside them in one line."""
    made = tomlkit.document()
    if "plugins" in document:
        made["plugins"] = list(document["plugins"])
    for key, value in document.items():
        if key == "plugins" or value is None or value == {}:
            continue
        if key in _TABLES_OF_TABLES:
            outer = tomlkit.table(is_super_table=True)
            for name, entry in value.items():
                outer[name] = _table(entry)
            made[key] = outer
        else:
            made[key] = _table(value)
    return tomlkit.dumps(made)


def _table(values: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for key, value in values.items():
        if value is not None:
            table[key] = _value(value)
    return table


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        inline: InlineTable = tomlkit.inline_table()
        for key, inner in value.items():
            if inner is not None:
                inline[str(key)] = _value(inner)
        return inline
    if isinstance(value, list | tuple):
        array = tomlkit.array()
        for inner in value:
            array.append(_value(inner))
        return array
    return value


def write_atomically(path: Path, data: bytes, mode: int) -> None:
    """Replace a file's content in one step, durable on return.

    :param mode: of the file, whatever it had before.
    :raises OSError: it can't be written; the old content is still there.
    """
    fresh = path.with_name(
        f".{path.name}.{secrets.token_hex(8)}"
    )  # nobody can have put a link there in a shared folder
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder for this user alone, and those above it that are missing; durable on return.

    :raises OSError: it can't be made.
    """
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make durable which files and folders there are in a folder.

    :raises OSError: that failed.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
