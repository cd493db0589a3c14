"""The verbs of the management socket."""

from tgtcore.management.verbs import accounts, luns, targets, transports, units, whole
from tgtcore.management.verbs.table import VERBS, Verb, run

__all__ = ["VERBS", "Verb", "accounts", "luns", "run", "targets", "transports", "units", "whole"]
