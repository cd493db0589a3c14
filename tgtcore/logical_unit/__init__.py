"""A logical unit: a device type, its store, its task set, and who may use it."""

from tgtcore.logical_unit.identity import Identity
from tgtcore.logical_unit.pause import Pause
from tgtcore.logical_unit.saved_state import SavedState
from tgtcore.logical_unit.unit import LogicalUnit

__all__ = ["Identity", "LogicalUnit", "Pause", "SavedState"]
