"""Moving data between a guest and us, of many commands with one call of the platform."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tgtcore import Region
from tgtcore_xen.platform.contract import Copy, Shown
from tgtcore_xen.vscsiif.segments import Segment

if TYPE_CHECKING:
    from tgtcore import Buffer
    from tgtcore_xen.hba.figures import Figures
    from tgtcore_xen.hba.task import XenTask
    from tgtcore_xen.platform.contract import Grants

_make = tuple.__new__


class Copying:
    """The copies of one connection."""

    def __init__(self, grants: "Grants", domid: int, figures: "Figures") -> None:
        self._grants = grants
        self._domid = domid
        self._figures = figures

    def tables(self, wanted: "Sequence[tuple[Sequence[Segment], memoryview]]") -> list[bool]:
        """Fetch tables of segments: where the guest has each, and where it is to be."""
        return self.copy([_make(Copy, (self._domid, False, segments, memory)) for segments, memory in wanted])

    def data_out(self, wanted: "Sequence[tuple[XenTask, bytearray]]") -> list[bool]:
        """Fetch data-out of commands, as much of each as its buffer has room for."""
        return self.copy([_make(Copy, (self._domid, False, task.segments, buffer)) for task, buffer in wanted])

    def data_in(self, tasks: "Sequence[XenTask]") -> list[bool]:
        """Deliver data-in of commands, as far as the guest has room for it."""
        return self.copy([_make(Copy, (self._domid, True, task.segments, _beginning(task))) for task in tasks])

    def room(self, length: int) -> memoryview | None:
        """Memory for data-in that is to be delivered next, and is copied from there once only; see :class:`Grants`."""
        return self._grants.room(length)

    def show(self, region: Region, segments: "Sequence[Segment]") -> Shown | None:
        """A piece of a file as data-in that is to be delivered next, without being read; see :class:`Grants`."""
        return self._grants.show(region, segments)

    def copy(self, copies: list[Copy]) -> list[bool]:
        """Do all of them with one call; which were done whole."""
        figures = self._figures
        figures.copy_calls += bool(copies)
        for one in copies:
            figures.copied_segments += len(one[2])
        done = self._grants.copy(copies)
        if not all(done):
            # a piece of a file that is not copied from there is going to be read, and copied again
            figures.failed_copies += sum(
                not ok and not isinstance(one.memory, Shown) for one, ok in zip(copies, done, strict=True)
            )
        return done


def _beginning(task: "XenTask") -> "Buffer | Shown":
    if task.shown is not None:
        return task.shown
    data = task.data_in
    assert data is not None
    assert not isinstance(data, Region), f"{task} has a region as data-in that was not read"
    return data if len(data) <= task.expected_in else memoryview(data)[: task.expected_in]
