"""Task management requests (RFC 7143 11.5, 11.6) and the core's functions."""

import logging
from typing import TYPE_CHECKING

from tgtcore import Tmf, TmfRequest, TmfResponse, log_first, manage
from tgtcore_iscsi.limits import FUNCTIONS_LOGGED_MAX, TASK_MANAGEMENT_MAX
from tgtcore_iscsi.pdu import codes, requests, responses
from tgtcore_iscsi.pdu.codes import FINAL, FUNCTION_MASK
from tgtcore_iscsi.session import before

if TYPE_CHECKING:
    from tgtcore_iscsi.full_feature import FullFeature

_log = logging.getLogger(__name__)

_FUNCTIONS = {
    codes.Tmf.ABORT_TASK: Tmf.ABORT_TASK,
    codes.Tmf.ABORT_TASK_SET: Tmf.ABORT_TASK_SET,
    codes.Tmf.CLEAR_TASK_SET: Tmf.CLEAR_TASK_SET,
    codes.Tmf.LOGICAL_UNIT_RESET: Tmf.LOGICAL_UNIT_RESET,
    codes.Tmf.TARGET_WARM_RESET: Tmf.TARGET_RESET,
    codes.Tmf.TARGET_COLD_RESET: Tmf.TARGET_RESET,
}
_REFUSED = {
    codes.Tmf.CLEAR_ACA: codes.TmfResponse.FUNCTION_NOT_SUPPORTED,
    codes.Tmf.TASK_REASSIGN: codes.TmfResponse.TASK_ALLEGIANCE_REASSIGNMENT_NOT_SUPPORTED,
}
_RESPONSES = {
    TmfResponse.FUNCTION_COMPLETE: codes.TmfResponse.FUNCTION_COMPLETE,
    TmfResponse.FUNCTION_SUCCEEDED: codes.TmfResponse.FUNCTION_COMPLETE,
    TmfResponse.FUNCTION_REJECTED: codes.TmfResponse.FUNCTION_REJECTED,
    TmfResponse.INCORRECT_LOGICAL_UNIT_NUMBER: codes.TmfResponse.LUN_DOES_NOT_EXIST,
    TmfResponse.TASK_DOES_NOT_EXIST: codes.TmfResponse.TASK_DOES_NOT_EXIST,
}


class TaskManagement:
    """The task management of one connection."""

    def __init__(self, phase: "FullFeature") -> None:
        self._phase = phase
        self._unanswered = 0
        self._functions = 0

    def request(self, buffer: bytearray | bytes, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        """Perform a function; its response is sent when everything that it aborts has ended."""
        phase = self._phase
        if not phase.in_order(buffer, at, data_at + data_length):
            return
        request = requests.TASK_MANAGEMENT_REQUEST.parse(buffer, at)
        phase.services.request_over(buffer[at])
        try:
            function = codes.Tmf(request.flags & FUNCTION_MASK)
        except ValueError:
            self._respond(request.itt, codes.TmfResponse.FUNCTION_NOT_SUPPORTED)
            return
        if function in _REFUSED:
            self._respond(request.itt, _REFUSED[function])
            return
        if self._unanswered == TASK_MANAGEMENT_MAX:
            self._respond(request.itt, codes.TmfResponse.FUNCTION_REJECTED)
            return
        self._functions += 1
        log_first(_log, logging.INFO, self._functions, FUNCTIONS_LOGGED_MAX, "%s: %s", phase, function.name)
        self._unanswered += 1
        # decided now: the answer may come later than what is to be aborted
        forgone = function is codes.Tmf.ABORT_TASK and self._forgo_task(request)

        def answer(response: TmfResponse) -> None:
            self._unanswered -= 1
            if response is TmfResponse.TASK_DOES_NOT_EXIST and forgone:
                response = TmfResponse.FUNCTION_COMPLETE
            self._respond(request.itt, _RESPONSES[response])
            if function is codes.Tmf.TARGET_COLD_RESET:
                phase.connection.services.cold_reset(phase.session)

        manage(phase.nexus, TmfRequest(_FUNCTIONS[function], request.lun, request.referenced_task_tag), answer)

    def _forgo_task(self, request: requests.TaskManagementRequest) -> bool:
        """RFC 7143 11.6.1: a task to be aborted that has not come yet counts as received, and the function as complete."""
        window = self._phase.window
        if request.referenced_task_tag in self._phase.nexus.tasks:
            return False
        if not window.admits(request.ref_cmd_sn) or not before(request.ref_cmd_sn, request.cmd_sn):
            return False
        self._phase.forgo(request.ref_cmd_sn)
        return True

    def _respond(self, itt: int, response: codes.TmfResponse) -> None:
        phase = self._phase
        if phase.closed:
            return
        window = phase.window
        fields = responses.TaskManagementResponse(
            FINAL, response, 0, itt, phase.next_stat_sn(), window.exp_cmd_sn, window.max_cmd_sn
        )
        phase.connection.send(responses.TASK_MANAGEMENT_RESPONSE.build(fields), None)
