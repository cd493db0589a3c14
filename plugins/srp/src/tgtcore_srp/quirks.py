"""Where fabrics and their initiators differ from the standard, as a table: no other part of the library knows them."""

from collections.abc import Callable
from dataclasses import dataclass

NO_LUN = 0xFFFF_FFFF_FFFF_FFFF
"""A LUN field that means no logical unit (SAM-5 4.7.4)."""


def as_written(field: int) -> int:
    """A LUN field of the standard is what the core understands."""
    return field


@dataclass(frozen=True)
class Quirks:
    """How one fabric's initiators want to be spoken to; the defaults are the standard's.

    :param lun: makes of the LUN field, as the initiator has written it, the field that the core understands (SAM-5 4.7);
        :data:`NO_LUN` where it means none.
    :param underrun_as_over: whether residual counts of an underrun have the flags of an overrun, the only ones that some initiators
        look at.
    :param sense_bytes_max: the longest sense data that the initiator has room for, whatever fits into an information unit.
    :param notifies: whether answers say that the solicited notification was asked for (SRP 5.2.3), for the fabric to interrupt.
    :param immediate_data: whether an initiator that asks for it may put data-out into its commands (SRP-2).
    """

    lun: Callable[[int], int] = as_written
    underrun_as_over: bool = False
    sense_bytes_max: int = 252
    notifies: bool = True
    immediate_data: bool = False
