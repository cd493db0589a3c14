"""Where the bytes of a logical unit live: the contract of stores, formats and filters."""

from tgtcore.store.claims import Claim, Claims
from tgtcore.store.contract import Buffer, Concurrency, Extent, Features, Filter, Format, OpenFile, Region, Store
from tgtcore.store.opened import OpenStore

__all__ = [
    "Buffer",
    "Claim",
    "Claims",
    "Concurrency",
    "Extent",
    "Features",
    "Filter",
    "Format",
    "OpenFile",
    "OpenStore",
    "Region",
    "Store",
]
