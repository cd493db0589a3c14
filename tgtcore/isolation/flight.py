"""A command that the core has, as the driver keeps it."""

from tgtcore.isolation.data_places import Home
from tgtcore.isolation.shares import Lun
from tgtcore.ring.area import Area
from tgtcore.task import Task


class Flight:
    """A command that the core has.

    :param place: where its data is in what all commands share.
    :param in_offset: where its data-in begins.
    :param room: bytes for its data-in.
    """

    __slots__ = ("in_offset", "others", "place", "refused", "room", "task")

    def __init__(
        self,
        task: Task,
        place: tuple[int, int] | None,
        others: list[tuple[Area | Home, tuple[int, int]]] | None,
        in_offset: int,
        room: int,
    ) -> None:
        self.task = task
        self.place = place
        self.others = others
        """Places in other areas: that of the data-out which was asked for, or the only one of a small command."""
        self.in_offset = in_offset
        self.room = room
        self.refused = False
        """Whether it is being aborted because it asks for more data-out than there can be a place for."""


def lun_of(task: Task) -> Lun:
    """The LUN that a command is for."""
    return task.nexus.target, task.lun


def held_by(flight: Flight) -> tuple[Lun, int]:
    """What counts of a command: its LUN, and its bytes of what all commands share."""
    return lun_of(flight.task), flight.place[1] if flight.place is not None else 0
