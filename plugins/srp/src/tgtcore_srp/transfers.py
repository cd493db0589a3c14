"""The data of commands: RDMA into and out of the initiator's memory."""

import logging
from typing import TYPE_CHECKING

from tgtcore import Region, TaskState, Tmf, TmfRequest, TmfResponse, manage
from tgtcore.scsi import asc
from tgtcore.scsi.sense import Sense, SenseKey
from tgtcore.scsi.status import Status

if TYPE_CHECKING:
    from tgtcore_srp.commands import Commands
    from tgtcore_srp.task import SrpTask

_log = logging.getLogger(__name__)

DATA_PHASE_ERROR = Status.CHECK_CONDITION, Sense(SenseKey.ABORTED_COMMAND, asc.DATA_PHASE_ERROR).fixed()
"""How a command ends whose data could not be moved."""
_BUSY = Status.BUSY, b""
_DATA, _ENDED = TaskState.DATA, TaskState.ENDED


class Transfers:
    """The transfers of one channel.

    A fabric may move data at once or say later that it has.  Until then the command's slot, its buffer and its tag are in use, even
    if it was aborted, and task management that has to do with it is not answered.
    """

    def __init__(self, commands: "Commands") -> None:
        self._commands = commands
        self._memory = commands.channel.memory
        self._read = commands.channel.fabric.read
        self._write = commands.channel.fabric.write

    # ---- data-out -----------------------------------------------------------------------------------------------------

    def fetch(self, task: "SrpTask") -> None:
        """Move as much data-out as a command wants, and let it go on."""
        wanted, there = task.wanted_out, task.expected_out
        buffer = self._memory.buffer(wanted if wanted < there else there)
        if buffer is None:
            self._refuse(task, _BUSY)
            return
        task.data_out = buffer
        moved = self._read(task.out_segments, memoryview(buffer), task.fetched)
        if moved is None:
            self._begin(task)
        elif task.state is not _DATA:
            return  # the channel was lost at that
        elif moved:
            task.data_arrived()
        else:
            self._refuse(task, DATA_PHASE_ERROR)

    def fetched(self, task: "SrpTask", ok: bool) -> None:
        """Data-out has come, or can't."""
        if not task.moving:
            return
        task.moving = False
        commands = self._commands
        if task.state is _ENDED:  # it was aborted meanwhile
            commands.ended(task)
            commands.session.stopped(task.tag)
        else:
            commands.session.stopped(task.tag)
            if ok:
                task.data_arrived()
            else:
                self._refuse(task, DATA_PHASE_ERROR)

    def _refuse(self, task: "SrpTask", refusal: tuple[int, bytes]) -> None:
        """End a command that can't get its data: nothing was done, so it is aborted, and the initiator is told why."""
        task.refusal = refusal
        commands = self._commands

        def aborted(response: TmfResponse) -> None:
            if task.state is not _ENDED:
                commands.channel.disconnect(f"{task} can neither get its data nor be aborted: {response.name}")

        manage(commands.session.nexus, TmfRequest(Tmf.ABORT_TASK, task.lun, task.tag), aborted)

    # ---- data-in ------------------------------------------------------------------------------------------------------

    def ended(self, task: "SrpTask") -> None:
        """A command has ended: move its data-in, as far as there is room for it, and answer, now or when that is over."""
        if task.moving:
            return  # its end is going to be told again
        if task.responds:
            data = task.data_in
            if data is not None and task.expected_in and not task.sense:
                room = task.expected_in
                if len(data) > room:
                    data = data.part(0, room) if isinstance(data, Region) else memoryview(data)[:room]
                moved = self._write(task.in_segments, data, task.delivered)
                if moved is None:
                    self._begin(task)
                    return
                if not moved:
                    task.refusal = DATA_PHASE_ERROR
        elif task.refusal is None:
            self._commands.end_in_silence(task)
            return
        self._commands.answer(task)

    def delivered(self, task: "SrpTask", ok: bool) -> None:
        """Data-in was moved, or can't be."""
        if not task.moving:
            return
        task.moving = False
        if not ok:
            task.refusal = DATA_PHASE_ERROR
        commands = self._commands
        commands.answer(task)
        commands.session.stopped(task.tag)

    # ---- what goes on ---------------------------------------------------------------------------------------------------

    def _begin(self, task: "SrpTask") -> None:
        task.moving = True
        self._commands.session.moving[task.tag] = task

    def lost(self) -> None:
        """Nothing goes on any more: what had to wait for it is over."""
        session, mine = self._commands.session, self._commands
        for task in [one for one in session.moving.values() if one.commands is mine]:
            task.moving = False
            if task.state is _ENDED:
                mine.ended(task)
            session.stopped(task.tag)
