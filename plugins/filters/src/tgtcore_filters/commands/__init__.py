"""Filters on commands."""

from tgtcore import CommandFilter
from tgtcore_filters.commands.black_hole import BlackHole
from tgtcore_filters.commands.delay import Delay
from tgtcore_filters.commands.error import Error
from tgtcore_filters.commands.log import Log
from tgtcore_filters.commands.rate import Rate
from tgtcore_filters.commands.stats import Stats

FILTERS: dict[str, type[CommandFilter]] = {
    "black-hole": BlackHole,
    "delay": Delay,
    "error": Error,
    "log": Log,
    "rate": Rate,
    "stats": Stats,
}
"""By the names that users write."""
