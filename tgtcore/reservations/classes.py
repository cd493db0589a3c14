"""What reservations of another nexus do to a command: the columns of the conflict tables (SPC-5 table 63, SBC-4 table 14)."""

from enum import Enum


class ReservationClass(Enum):
    """The reservation behaviour of a command."""

    ALWAYS = "is never refused"
    READ = "reads the medium or its state"
    WRITE = "changes the medium or its state"
