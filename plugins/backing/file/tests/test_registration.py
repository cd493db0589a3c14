import tgtcore_file
from tgtcore_file.file import FileStore
from tgtcore_file.memory import MemoryStore
from tgtcore_file.null import NullStore

from tgtcore.registry import Registry


def test_the_three_stores_have_their_names() -> None:
    registry = Registry()
    tgtcore_file.tgt_register_stores(registry)
    assert {name: registry.stores.get(name) for name in registry.stores} == {
        "file": FileStore,
        "memory": MemoryStore,
        "null": NullStore,
    }
