"""What a reservation does to a command: the conflict tables (SPC-5 table 63, SBC-4 table 13, SPC-2 table 10)."""

from enum import Enum

from tgtcore.scsi.persistent import ReservationType


class ReservationClass(Enum):
    """The reservation behaviour of a command."""

    ALWAYS = "is never refused, or judges for itself"
    READINESS = "asks whether the logical unit is ready: only RESERVE keeps others from it"
    READ = "reads the medium or its state"
    WRITE = "changes the medium or its state"


NOTHING: frozenset[ReservationClass] = frozenset()
UNDER_RESERVE = frozenset({ReservationClass.READINESS, ReservationClass.READ, ReservationClass.WRITE})
"""What others are refused while the logical unit is reserved by RESERVE."""

_WRITE_EXCLUSIVE = frozenset({ReservationClass.WRITE})
_EXCLUSIVE_ACCESS = frozenset({ReservationClass.READ, ReservationClass.WRITE})

UNDER_TYPE = {
    ReservationType.WRITE_EXCLUSIVE: _WRITE_EXCLUSIVE,
    ReservationType.EXCLUSIVE_ACCESS: _EXCLUSIVE_ACCESS,
    ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY: _WRITE_EXCLUSIVE,
    ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY: _EXCLUSIVE_ACCESS,
    ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS: _WRITE_EXCLUSIVE,
    ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS: _EXCLUSIVE_ACCESS,
}
"""What others are refused under each type of persistent reservation."""

ALL_REGISTRANTS = frozenset(
    {ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS, ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS}
)
"""Types that every registered nexus holds."""

ADMITS_REGISTRANTS = ALL_REGISTRANTS | {
    ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
    ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
}
"""Types under which every registered nexus is refused nothing; under the others only the holder is."""
