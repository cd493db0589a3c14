"""The verbs of the management socket."""

from tgtcore.management.verbs import (
    accounts,
    draining,
    filters,
    luns,
    plugins,
    snapshots,
    targets,
    transports,
    units,
    whole,
)
from tgtcore.management.verbs.table import VERBS, Verb, run

__all__ = [
    "VERBS",
    "Verb",
    "accounts",
    "draining",
    "filters",
    "luns",
    "plugins",
    "run",
    "snapshots",
    "targets",
    "transports",
    "units",
    "whole",
]
