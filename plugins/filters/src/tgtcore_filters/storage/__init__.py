"""Filters on storage calls."""

from tgtcore import Filter
from tgtcore_filters.storage.cache import Cache
from tgtcore_filters.storage.readonly import ReadOnlyFilter

FILTERS: dict[str, type[Filter]] = {
    "cache": Cache,
    "readonly": ReadOnlyFilter,
}
"""By the names that users write."""
