"""Faults, limits and logs for logical units: filters on commands and filters on storage calls, a plugin of tgtcore."""

from typing import TYPE_CHECKING

from tgtcore import hookimpl
from tgtcore_filters import commands, storage

if TYPE_CHECKING:
    from tgtcore.registry import Registry

TGTCORE_API = 1


@hookimpl
def tgt_register_filters(registry: "Registry") -> None:
    """The names that users write."""
    for name, on_commands in commands.FILTERS.items():
        registry.filter(name, on_commands)
    for name, on_storage in storage.FILTERS.items():
        registry.filter(name, on_storage)
