"""Task management requests (SRP 6.7) and the core's functions."""

import logging
from typing import TYPE_CHECKING

from tgtcore import Tmf, TmfRequest, TmfResponse, log_first, manage
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.header import opcode_and_tag
from tgtcore_srp.iu.management import TaskManagement as Request
from tgtcore_srp.iu.opcodes import ResponseCode, TaskManagementFunction
from tgtcore_srp.limits import FUNCTIONS_LOGGED_MAX

if TYPE_CHECKING:
    from tgtcore_srp.commands import Commands
    from tgtcore_srp.slots import Slot
    from tgtcore_srp.task import SrpTask

_log = logging.getLogger(__name__)

_FUNCTIONS = {
    TaskManagementFunction.ABORT_TASK: Tmf.ABORT_TASK,
    TaskManagementFunction.ABORT_TASK_SET: Tmf.ABORT_TASK_SET,
    TaskManagementFunction.CLEAR_TASK_SET: Tmf.CLEAR_TASK_SET,
    TaskManagementFunction.LOGICAL_UNIT_RESET: Tmf.LOGICAL_UNIT_RESET,
}
"""ACA is not supported (NORMACA is zero), so neither is CLEAR ACA."""
_CODES = {
    TmfResponse.FUNCTION_COMPLETE: ResponseCode.COMPLETE,
    TmfResponse.FUNCTION_SUCCEEDED: ResponseCode.COMPLETE,
    TmfResponse.FUNCTION_REJECTED: ResponseCode.FAILED,
    TmfResponse.INCORRECT_LOGICAL_UNIT_NUMBER: ResponseCode.FAILED,
    TmfResponse.TASK_DOES_NOT_EXIST: ResponseCode.COMPLETE,
}
"""SAM-5 7.2: ABORT TASK is complete also if there is no such task."""


class TaskManagement:
    """The task management of one channel.

    The answer to a function goes out behind those of all commands that it has to do with, through whichever channel of the session
    they came, and gives back the credits of those that it has ended in silence; other channels give theirs back from then on.
    """

    def __init__(self, commands: "Commands") -> None:
        self._commands = commands
        self._credits = commands.channel.credits
        self._lun = commands.channel.quirks.lun
        self._functions = 0

    def arrived(self, slot: "Slot", length: int) -> None:
        """Take an SRP_TSK_MGMT."""
        channel = self._commands.channel
        if not self._credits.left:
            self._one_too_many(slot)
            return
        self._credits.left -= 1
        try:
            request = Request.parse(slot.view[:length])
        except Malformed as error:
            self._malformed(slot, error)
            return
        function = _FUNCTIONS.get(request.function)  # type: ignore[call-overload]
        if function is None:
            self._respond(slot, request.tag, ResponseCode.NOT_SUPPORTED, request.solicited)
            return
        self._functions += 1
        log_first(_log, logging.INFO, self._functions, FUNCTIONS_LOGGED_MAX, "%s: %s", channel, function.value)
        self._perform(slot, request, function)

    def _perform(self, slot: "Slot", request: Request, function: Tmf) -> None:
        session, channel = self._commands.session, self._commands.channel
        others = [one for one in session.channels if one is not channel]

        def concerned(task: "SrpTask") -> bool:
            return function is not Tmf.ABORT_TASK or task.tag == request.task_tag

        def answered(response: TmfResponse) -> None:
            code = _CODES[response]
            if response is TmfResponse.TASK_DOES_NOT_EXIST and request.task_tag in session.nexus.tasks:
                code = ResponseCode.FAILED  # it has another LUN, and goes on
            session.when_still(concerned, lambda: session.when_delivered(others, lambda: ended(code)))

        def ended(code: ResponseCode) -> None:
            for one in (channel, *others):
                one.credits.function_ends()
            self._respond(slot, request.tag, code, request.solicited)
            for one in others:
                one.requests.credits_withheld()

        for one in (channel, *others):
            one.credits.function_begins()
        manage(session.nexus, TmfRequest(function, self._lun(request.lun), request.task_tag), answered)

    def _respond(self, slot: "Slot", tag: int, code: ResponseCode, solicited: int) -> None:
        commands = self._commands
        channel = commands.channel
        if commands.closed:
            channel.slots.give(slot)
        else:
            channel.fabric.send(commands.answers.of_function(tag, self._credits.delta(), code, solicited), slot)

    def _malformed(self, slot: "Slot", error: Malformed) -> None:
        self._commands.channel.complain(error)
        _, tag = opcode_and_tag(slot.view)
        self._respond(slot, tag, ResponseCode.REQUEST_FIELDS_INVALID, slot.view[1])

    def _one_too_many(self, slot: "Slot") -> None:
        """The initiator may not send any; it gets an answer all the same, and then the channel ends."""
        channel = self._commands.channel
        _, tag = opcode_and_tag(slot.view)
        channel.fabric.send(self._commands.answers.of_function(tag, 0, ResponseCode.FAILED, slot.view[1]), slot)
        channel.overrun()
