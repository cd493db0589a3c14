"""Task management requests (RFC 7143 11.5, 11.6) and the core's functions."""

import logging
from typing import TYPE_CHECKING

from tgtcore_iscsi.pdu import requests, responses
from tgtcore_iscsi.pdu.codes import FINAL, FUNCTION_MASK, TaskManagementFunction, TaskManagementResponse

from tgtcore import Tmf, TmfRequest, TmfResponse, manage

if TYPE_CHECKING:
    from tgtcore_iscsi.full_feature import FullFeature

_log = logging.getLogger(__name__)

_FUNCTIONS = {
    TaskManagementFunction.ABORT_TASK: Tmf.ABORT_TASK,
    TaskManagementFunction.ABORT_TASK_SET: Tmf.ABORT_TASK_SET,
    TaskManagementFunction.CLEAR_TASK_SET: Tmf.CLEAR_TASK_SET,
    TaskManagementFunction.LOGICAL_UNIT_RESET: Tmf.LOGICAL_UNIT_RESET,
    TaskManagementFunction.TARGET_WARM_RESET: Tmf.TARGET_RESET,
    TaskManagementFunction.TARGET_COLD_RESET: Tmf.TARGET_RESET,
}
_REFUSED = {
    TaskManagementFunction.CLEAR_ACA: TaskManagementResponse.FUNCTION_NOT_SUPPORTED,
    TaskManagementFunction.TASK_REASSIGN: TaskManagementResponse.TASK_ALLEGIANCE_REASSIGNMENT_NOT_SUPPORTED,
}
_RESPONSES = {
    TmfResponse.FUNCTION_COMPLETE: TaskManagementResponse.FUNCTION_COMPLETE,
    TmfResponse.FUNCTION_SUCCEEDED: TaskManagementResponse.FUNCTION_COMPLETE,
    TmfResponse.FUNCTION_REJECTED: TaskManagementResponse.FUNCTION_REJECTED,
    TmfResponse.INCORRECT_LOGICAL_UNIT_NUMBER: TaskManagementResponse.LUN_DOES_NOT_EXIST,
    TmfResponse.TASK_DOES_NOT_EXIST: TaskManagementResponse.TASK_DOES_NOT_EXIST,
}


class TaskManagement:
    """The task management of one connection."""

    def __init__(self, phase: "FullFeature") -> None:
        self._phase = phase

    def request(self, buffer: bytearray | bytes, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        """Perform a function; its response is sent when everything that it aborts has ended."""
        phase = self._phase
        if not phase.in_order(buffer, at, data_at + data_length):
            return
        request = requests.TASK_MANAGEMENT_REQUEST.parse(buffer, at)
        phase.services.request_over(buffer[at])
        try:
            function = TaskManagementFunction(request.flags & FUNCTION_MASK)
        except ValueError:
            self._respond(request.itt, TaskManagementResponse.FUNCTION_NOT_SUPPORTED)
            return
        if function in _REFUSED:
            self._respond(request.itt, _REFUSED[function])
            return
        _log.info("%s: %s", phase, function.name)

        def answer(response: TmfResponse) -> None:
            self._respond(request.itt, _RESPONSES[response])
            if function is TaskManagementFunction.TARGET_COLD_RESET:
                phase.connection.services.cold_reset(phase.session)

        manage(phase.nexus, TmfRequest(_FUNCTIONS[function], request.lun, request.referenced_task_tag), answer)

    def _respond(self, itt: int, response: TaskManagementResponse) -> None:
        phase = self._phase
        if phase.closed:
            return
        window = phase.window
        fields = responses.TaskManagementResponse(
            FINAL, response, 0, itt, phase.next_stat_sn(), window.exp_cmd_sn, window.max_cmd_sn
        )
        phase.connection.send(responses.TASK_MANAGEMENT_RESPONSE.build(fields), None)
