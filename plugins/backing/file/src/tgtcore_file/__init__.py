"""Image files, block devices, memory and null stores, a plugin of tgtcore."""

from typing import TYPE_CHECKING

from tgtcore import hookimpl
from tgtcore_file.file import FileStore
from tgtcore_file.memory import MemoryStore
from tgtcore_file.null import NullStore

if TYPE_CHECKING:
    from tgtcore.registry import Registry

TGTCORE_API = 1


@hookimpl
def tgt_register_stores(registry: "Registry") -> None:
    """The names that users write."""
    registry.store("file", FileStore)
    registry.store("memory", MemoryStore)
    registry.store("null", NullStore)
