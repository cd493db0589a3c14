"""Filters on storage calls."""

from tgtcore import Filter
from tgtcore_filters.storage.cache import Cache
from tgtcore_filters.storage.crash import Crash
from tgtcore_filters.storage.readonly import ReadOnlyFilter

FILTERS: dict[str, type[Filter]] = {
    "cache": Cache,
    "crash": Crash,
    "readonly": ReadOnlyFilter,
}
"""By the names that users write."""
