"""Where the bytes of a logical unit live: the contract of stores, formats and filters."""

from tgtcore.store.claims import Claim, Claims
from tgtcore.store.contract import (
    Buffer,
    Concurrency,
    Extent,
    Features,
    Filter,
    Format,
    OpenFile,
    Region,
    SnapshotInfo,
    Store,
)
from tgtcore.store.files import make_file, name_file, open_file, unmake_file
from tgtcore.store.locks import FileLock, admit_readers, lock_file
from tgtcore.store.opened import OpenStore

__all__ = [
    "Buffer",
    "Claim",
    "Claims",
    "Concurrency",
    "Extent",
    "Features",
    "FileLock",
    "Filter",
    "Format",
    "OpenFile",
    "OpenStore",
    "Region",
    "SnapshotInfo",
    "Store",
    "admit_readers",
    "lock_file",
    "make_file",
    "name_file",
    "open_file",
    "unmake_file",
]
