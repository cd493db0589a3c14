"""Targets: what initiators log in to, which logical units each of them sees there, and who is admitted."""

from tgtcore.target.access import AccessList, Decision
from tgtcore.target.luns import LunMap
from tgtcore.target.target import Target

__all__ = ["AccessList", "Decision", "LunMap", "Target"]
