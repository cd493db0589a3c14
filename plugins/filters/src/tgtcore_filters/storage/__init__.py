"""Filters on storage calls."""

from tgtcore import Filter

FILTERS: dict[str, type[Filter]] = {}
"""By the names that users write."""
