"""Why an I_T nexus does not open, as both ends of the ring know it."""

from collections.abc import Mapping

from tgtcore.errors import Draining, NexusInUse, TgtError
from tgtcore.ring import OpenStatus

REFUSALS: Mapping[int, type[TgtError]] = {
    OpenStatus.NEXUS_IN_USE: NexusInUse,
    OpenStatus.TARGET_GOING_AWAY: Draining,
}
"""What is raised, by status; every other reason is a failure."""


def status_of(error: TgtError) -> OpenStatus:
    """How the ring says it."""
    return OpenStatus(next((status for status, kind in REFUSALS.items() if isinstance(error, kind)), OpenStatus.FAILED))
