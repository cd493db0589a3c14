"""Data-in on its way to a guest: from memory, or from a file that has it."""

from typing import TYPE_CHECKING

from tgtcore import Region
from tgtcore_xen.hba.task import BUSY, ERROR

if TYPE_CHECKING:
    from tgtcore_srp.memory import Memory

    from tgtcore_xen.hba.copying import Copying
    from tgtcore_xen.hba.figures import Figures
    from tgtcore_xen.hba.task import XenTask


class Delivery:
    """Of one connection.

    :param memory: for pieces of files for which the platform has no room.
    """

    def __init__(self, copying: "Copying", memory: "Memory", figures: "Figures") -> None:
        self._copying = copying
        self._memory = memory
        self._figures = figures

    def deliver(self, tasks: "list[XenTask]") -> None:
        """Copy data-in of tasks that have ended, with one call where nothing fails; what can't be is in their responses."""
        failed = self._copied([task for task in tasks if self._is_there(task)])
        if failed:
            self._deliver_again(failed)

    def _copied(self, tasks: "list[XenTask]") -> "list[XenTask]":
        """Copy with one call; of which tasks that was not done."""
        done = self._copying.data_in(tasks)
        return [] if all(done) else [task for task, ok in zip(tasks, done, strict=True) if not ok]

    def _deliver_again(self, tasks: "list[XenTask]") -> None:
        """Whether it is the guest's pages that can't be used, or the file that can't be read, shows when it is read."""
        again = []
        for task in tasks:
            region = task.data_in
            if not isinstance(region, Region):
                task.refusal = ERROR
            elif self._is_read(task, region):
                again.append(task)
        for task in self._copied(again):
            task.refusal = ERROR

    def _is_there(self, task: "XenTask") -> bool:
        """Have data-in where it can be copied from, if there is any; if it can't be, the guest is told why."""
        region = task.data_in
        assert region is not None
        if not len(region):
            return False
        if not isinstance(region, Region):
            return True
        if region.length > task.expected_in:
            task.data_in = region = region.part(0, task.expected_in)
        task.shown = self._copying.show(region, task.segments)
        return task.shown is not None or self._is_read(task, region)

    def _is_read(self, task: "XenTask", region: Region) -> bool:
        """Have a piece of a file in memory; if it can't be read, the guest is told that."""
        task.shown = None
        length = region.length
        memory = self._copying.room(length)
        if memory is None:
            buffer = self._memory.buffer(length)
            if buffer is None:
                self._figures.busy += 1
                task.refusal = BUSY
                return False
            memory = memoryview(buffer)
        task.data_in = memory
        if region.read_into(memory):
            return True
        task.lose_data_in()
        return False
