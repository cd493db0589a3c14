"""The verbs of the management socket."""

from tgtcore.management.verbs.table import VERBS, Verb, run

__all__ = ["VERBS", "Verb", "run"]
