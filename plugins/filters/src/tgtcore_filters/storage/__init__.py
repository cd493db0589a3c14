"""Filters on storage calls."""

from tgtcore import Filter
from tgtcore_filters.storage.cache import Cache
from tgtcore_filters.storage.corrupt import Corrupt
from tgtcore_filters.storage.crash import Crash
from tgtcore_filters.storage.lost_write import LostWrite
from tgtcore_filters.storage.readonly import ReadOnlyFilter
from tgtcore_filters.storage.torn import Torn

FILTERS: dict[str, type[Filter]] = {
    "cache": Cache,
    "corrupt": Corrupt,
    "crash": Crash,
    "lost-write": LostWrite,
    "readonly": ReadOnlyFilter,
    "torn": Torn,
}
"""By the names that users write."""
