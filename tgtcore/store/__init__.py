"""Where the bytes of a logical unit live: the contract of stores, formats and filters."""

from tgtcore.store.claims import Claim, Claims
from tgtcore.store.contract import (
    Buffer,
    Concurrency,
    Extent,
    Features,
    Filter,
    Format,
    SnapshotInfo,
    Space,
    Store,
)
from tgtcore.store.files import file_space, make_file, name_file, open_file, unmake_file
from tgtcore.store.locks import FileLock, admit_readers, lock_file
from tgtcore.store.opened import OpenStore
from tgtcore.store.region import OpenFile, Region

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
    "Space",
    "Store",
    "admit_readers",
    "file_space",
    "lock_file",
    "make_file",
    "name_file",
    "open_file",
    "unmake_file",
]
