"""Filters on commands."""

from tgtcore import CommandFilter

FILTERS: dict[str, type[CommandFilter]] = {}
"""By the names that users write."""
