"""A command that the core has, as the driver keeps it."""

from tgtcore.isolation.data_places import Home
from tgtcore.isolation.shares import Lun, Share
from tgtcore.ring.area import Area
from tgtcore.task import Task


class Flight:
    """A command that the core has.

    :param place: where its data is in what all commands share.
    :param in_offset: where its data-in begins.
    :param room: bytes for its data-in.
    :param share: what the commands of its LUN hold, this one too; it means nothing while that is not counted.
    """

    __slots__ = ("in_offset", "others", "place", "refused", "room", "share", "task")

    def __init__(
        self,
        task: Task,
        place: tuple[int, int] | None,
        others: list[tuple[Area | Home, tuple[int, int]]] | None,
        in_offset: int,
        room: int,
        share: Share | None,
    ) -> None:
        self.task = task
        self.place = place
        self.others = others
        """Places in other areas: that of the data-out which was asked for, or the only one of a small command."""
        self.in_offset = in_offset
        self.room = room
        self.share = share
        self.refused = False
        """Whether it is being aborted because it asks for more data-out than there can be a place for."""

    @property
    def held_bytes(self) -> int:
        """What it holds of the bytes that all commands share."""
        return self.place[1] if self.place is not None else 0


def lun_of(task: Task) -> Lun:
    """The LUN that a command is for."""
    return task.nexus.target, task.lun
