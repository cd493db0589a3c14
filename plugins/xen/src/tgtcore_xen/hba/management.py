"""Task management as a front end asks for it: abort of a command, reset of a device."""

import logging
from typing import TYPE_CHECKING

from tgtcore_srp.limits import FUNCTIONS_LOGGED_MAX

from tgtcore import Tmf, TmfRequest, TmfResponse, log_first, manage
from tgtcore_xen.hba.task import ABORTED, RESET, XenTask, lun_field
from tgtcore_xen.vscsiif.layout import ACT_AT, SLOTS, Act
from tgtcore_xen.vscsiif.request import rqid_of
from tgtcore_xen.vscsiif.response import build_response
from tgtcore_xen.vscsiif.results import FAILED, SUCCEEDED

if TYPE_CHECKING:
    from tgtcore_xen.hba.commands import Commands
    from tgtcore_xen.vscsiif.request import Request
    from tgtcore_xen.vscsiif.ring import BackRing

_log = logging.getLogger(__name__)

_SUCCESS = (TmfResponse.FUNCTION_COMPLETE, TmfResponse.TASK_DOES_NOT_EXIST)
"""SAM-5 7.2: ABORT TASK is complete also if there is no such task: then it was answered before."""


class Management:
    """The task management of one connection.

    The core answers a function when all that it aborts has ended, and by then that is in the queue of responses; so the answer to
    the function comes behind all of them.
    """

    def __init__(self, commands: "Commands") -> None:
        self._commands = commands

    def abort(self, entry: int, request: "Request") -> None:
        """Abort the command that a request names."""
        tasks, tag = self._commands.nexus.tasks, request.ref_rqid
        field = self._field(request)
        task = tasks.get(tag)
        if task is not None and task.lun != field:
            self._answer(entry, request, TmfResponse.FUNCTION_REJECTED)  # another device has it, and it goes on
            return
        if isinstance(task, XenTask):
            task.silent_end = ABORTED
        elif task is None:
            self._answer_lost(tag, ABORTED)
        self._perform(entry, request, Tmf.ABORT_TASK, field)

    def begin(self, ring: "BackRing") -> None:
        """Some requests are lost.  If they have the whole ring, the guest has no room to abort one.

        Then the newest is not answered, for it was put when all responses had been taken; and what stands there, itself or a
        response that was not published, names one that the guest waits for.
        """
        lost = self._commands.lost
        assert lost is not None, "that is why it is called"
        self._commands.figures.lost = len(lost)
        if len(lost) == SLOTS:
            newest = ring.newest()
            self._answer_lost(rqid_of(newest), RESET if newest[ACT_AT] == Act.COMMAND else FAILED)

    def _answer_lost(self, rqid: int, code: int) -> None:
        """Answer a request that the guest waits for, if it is one of the lost ones."""
        commands = self._commands
        entry = None if commands.lost is None else commands.lost.found(rqid)
        if entry is not None:
            commands.figures.lost -= 1
            commands.figures.aborted += 1
            commands.answer(entry, build_response(rqid, code))

    def reset(self, entry: int, request: "Request") -> None:
        """Reset the device that a request names."""
        self._perform(entry, request, Tmf.LOGICAL_UNIT_RESET, self._field(request))

    def _field(self, request: "Request") -> int | None:
        number = self._commands.devices.lun_of(request.channel, request.target, request.lun)
        return None if number is None else lun_field(number)

    def _perform(self, entry: int, request: "Request", function: Tmf, field: int | None) -> None:
        commands = self._commands
        if field is None:
            self._answer(entry, request, TmfResponse.INCORRECT_LOGICAL_UNIT_NUMBER)
            return
        commands.figures.functions += 1
        commands.logged.functions += 1
        number = commands.logged.functions
        log_first(_log, logging.INFO, number, FUNCTIONS_LOGGED_MAX, "%s: %s", commands.name, function.value)
        asked = TmfRequest(function, field, request.ref_rqid)
        manage(commands.nexus, asked, lambda response: self._answer(entry, request, response))

    def _answer(self, entry: int, request: "Request", response: TmfResponse) -> None:
        code = SUCCEEDED if response in _SUCCESS else FAILED
        self._commands.answer(entry, build_response(request.rqid, code))
