"""Everything that sessions of both kinds can do: pings, text, logout, rejects, and what the target has to say unasked."""

from typing import TYPE_CHECKING

from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.pdu import requests, responses
from tgtcore_iscsi.pdu.codes import (
    FINAL,
    FUNCTION_MASK,
    IMMEDIATE,
    NO_TAG,
    AsyncEvent,
    LogoutReason,
    LogoutResult,
    Opcode,
    RejectReason,
)

if TYPE_CHECKING:
    from tgtcore_iscsi.phase import Request, SessionPhase


class Services:
    """The requests and messages of one connection besides SCSI commands, their data and task management."""

    def __init__(self, phase: "SessionPhase") -> None:
        self._phase = phase
        self._window = phase.window
        self._send = phase.connection.send
        self._pings = 0
        self._unanswered = False

    def requests(self) -> "dict[int, Request]":
        """Opcode → handler."""
        return {
            Opcode.NOP_OUT: self._nop_out,
            Opcode.TEXT_REQUEST: self._text,
            Opcode.LOGOUT_REQUEST: self._logout,
            Opcode.SNACK_REQUEST: self._snack,
        }

    # ---- NOP ----------------------------------------------------------------------------------------------------------

    def ping(self) -> bool:
        """Send a NOP-In that wants an answer; False when the last one got none."""
        if self._unanswered:
            return False
        self._unanswered = True
        self._pings = (self._pings + 1) & 0x7FFFFFFF
        window = self._window
        fields = responses.NopIn(
            FINAL, 0, 0, NO_TAG, self._pings, self._phase.stat_sn, window.exp_cmd_sn, window.max_cmd_sn
        )
        self._send(responses.NOP_IN.build(fields), None)
        return True

    def _nop_out(self, buffer: bytearray | bytes, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        if not self._phase.in_order(buffer, at, data_at + data_length):
            return
        request = requests.NOP_OUT.parse(buffer, at)
        if request.ttt == self._pings and request.itt == NO_TAG:
            self._unanswered = False
        self.request_over(buffer[at])
        if request.itt == NO_TAG:
            return
        echo = bytes(buffer[data_at : data_at + data_length])[: self._phase.parameters.max_send_data_segment_length]
        window = self._window
        fields = responses.NopIn(
            FINAL,
            len(echo),
            request.lun,
            request.itt,
            NO_TAG,
            self._phase.next_stat_sn(),
            window.exp_cmd_sn,
            window.max_cmd_sn,
        )
        self._send(responses.NOP_IN.build(fields), echo or None)

    # ---- text, logout, SNACK ----------------------------------------------------------------------------------------------

    def _logout(self, buffer: bytearray | bytes, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        if not self._phase.in_order(buffer, at, data_at + data_length):
            return
        request = requests.LOGOUT_REQUEST.parse(buffer, at)
        self.request_over(buffer[at])
        reason = request.flags & FUNCTION_MASK
        response = LogoutResult.CLOSED
        if reason == LogoutReason.REMOVE_CONNECTION_FOR_RECOVERY:
            response = LogoutResult.RECOVERY_NOT_SUPPORTED
        elif reason == LogoutReason.CLOSE_CONNECTION and request.cid != self._phase.session.cid:
            response = LogoutResult.CID_NOT_FOUND
        elif reason not in (LogoutReason.CLOSE_SESSION, LogoutReason.CLOSE_CONNECTION):
            raise RemoteProtocolError(f"logout reason {reason}", reason=RejectReason.INVALID_PDU_FIELD)
        if response is not LogoutResult.CLOSED:
            self._logout_response(request.itt, response)
            return

        def closed() -> None:
            self._logout_response(request.itt, response)
            self._phase.connection.close_when_sent("logged out")

        self._phase.log_out(closed)

    def _logout_response(self, itt: int, response: LogoutResult) -> None:
        parameters, window = self._phase.parameters, self._window
        fields = responses.LogoutResponse(
            FINAL,
            response,
            0,
            itt,
            self._phase.next_stat_sn(),
            window.exp_cmd_sn,
            window.max_cmd_sn,
            parameters.default_time2wait,
            parameters.default_time2retain,
        )
        self._send(responses.LOGOUT_RESPONSE.build(fields), None)

    def _text(self, buffer: bytearray | bytes, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        phase = self._phase
        if not phase.in_order(buffer, at, data_at + data_length):
            return
        request = requests.TEXT_REQUEST.parse(buffer, at)
        self.request_over(buffer[at])
        data = bytes(buffer[data_at : data_at + data_length])
        answer = phase.text.receive(request.flags, request.itt, request.ttt, data)
        if phase.text.parameters is not phase.parameters:
            phase.take_parameters(phase.text.parameters)
        window = self._window
        fields = responses.TextResponse(
            answer.flags,
            len(answer.data),
            0,
            request.itt,
            answer.ttt,
            phase.next_stat_sn(),
            window.exp_cmd_sn,
            window.max_cmd_sn,
        )
        self._send(responses.TEXT_RESPONSE.build(fields), answer.data or None)

    def _snack(self, buffer: bytearray | bytes, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        """With ErrorRecoveryLevel 0 nothing is sent twice (RFC 7143 11.16)."""
        self.reject(RejectReason.SNACK_REJECT, bytes(buffer[at : at + 48]))

    # ---- to the initiator -------------------------------------------------------------------------------------------------

    def ask_to_log_out(self, within_s: int) -> None:
        """Async Message 1: please log out within so many seconds."""
        window = self._window
        fields = responses.AsyncMessage(
            FINAL,
            0,
            0,
            NO_TAG,
            self._phase.next_stat_sn(),
            window.exp_cmd_sn,
            window.max_cmd_sn,
            AsyncEvent.LOGOUT_REQUESTED,
            0,
            0,
            0,
            within_s,
        )
        self._send(responses.ASYNC_MESSAGE.build(fields), None)

    def reject(self, reason: RejectReason, header: bytes) -> None:
        """Refuse the PDU that began with ``header``."""
        window = self._window
        fields = responses.Reject(
            FINAL,
            reason,
            len(header),
            NO_TAG,
            self._phase.next_stat_sn(),
            window.exp_cmd_sn,
            window.max_cmd_sn,
            0,
        )
        self._send(responses.REJECT.build(fields), header)

    def request_over(self, first_byte: int) -> None:
        """A request that is not a command leaves the command window at once."""
        if not first_byte & IMMEDIATE:
            self._window.open_by_one()
