"""An initiator with many commands at once, for which a witness checks every PDU: an answer that comes twice is noticed."""

import select
import time
from collections.abc import Callable
from dataclasses import dataclass

from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client, Outcome
from tgtcore_iscsi.initiator.pdu import Response, data_out, nop_out, task_management_request
from tgtcore_iscsi.initiator.witness import Agreement, Witness
from tgtcore_iscsi.pdu.codes import DATA_IN_STATUS, FINAL, NO_TAG, Opcode, Tmf

_SEGMENT_BYTES = 262144
_RECEIVE_BYTES = 1 << 20

Done = Callable[[Outcome | None], None]
"""Told how a command ended; None: it was aborted, or the session has ended."""


@dataclass
class _Command:
    done: Done
    out: bytes
    data: bytearray
    lun: int
    sent_at: float


class Session(Client):
    """A session; call :meth:`serve` over and over.

    :raises LoginRefused: the target refuses.
    :raises OSError: it can't be reached.
    """

    def __init__(self, address: Address, target: str, initiator: str) -> None:
        super().__init__(address, target, initiator)
        self._witness = Witness(Agreement(segment_max=_SEGMENT_BYTES), stat_sn=self._exp_stat_sn)
        self._commands: dict[int, _Command] = {}
        self._functions: dict[int, int] = {}
        self.asked_to_log_out = False
        self._socket.settimeout(10)

    @property
    def in_flight(self) -> int:
        """Commands that have not ended."""
        return len(self._commands)

    def quiet_s(self) -> float:
        """How long the oldest command has waited."""
        return time.monotonic() - min((one.sent_at for one in self._commands.values()), default=time.monotonic())

    def start(self, cdb: bytes, lun: int, done: Done, *, out: bytes = b"", room: int = 0) -> None:
        """Send a command; ``done`` is called by a later :meth:`serve` or :meth:`break_off`."""
        self._exp_stat_sn = self._witness.stat_sn
        tag, request = self._command(cdb, out, room, lun, _SEGMENT_BYTES // 4)
        self._commands[tag] = _Command(done, out, bytearray(room), lun, time.monotonic())
        self._witness.sent(request)
        self._socket.sendall(request)

    def abort_all(self, lun: int) -> None:
        """Send ABORT TASK SET; when it is answered, what it has aborted ends without an outcome."""
        tag = next(self._tags)
        self._functions[tag] = lun
        request = task_management_request(
            Tmf.ABORT_TASK_SET, lun=lun << 48, itt=tag, cmd_sn=self._cmd_sn, exp_stat_sn=self._witness.stat_sn
        )
        self._socket.sendall(request)

    def serve(self, timeout_s: float) -> None:
        """Take what comes within a time.

        :raises OSError: the connection has ended.
        :raises Violation: the target breaks the protocol, such as by an answer to no command.
        """
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return
        received = self._socket.recv(_RECEIVE_BYTES)
        if not received:
            raise ConnectionError("the target has closed the connection")
        for response in self._witness.received(received):
            handler = _HANDLERS.get(response.opcode)
            if handler is not None:
                handler(self, response)

    def break_off(self) -> None:
        """Break the connection; whatever was under way has no outcome."""
        self.abort()
        commands, self._commands = self._commands, {}
        for command in commands.values():
            command.done(None)

    def _end(self, tag: int, outcome: Outcome | None) -> None:
        self._commands.pop(tag).done(outcome)

    def _data_in(self, response: Response) -> None:
        fields = response.fields
        command = self._commands[fields.itt]
        command.data[fields.buffer_offset : fields.buffer_offset + len(response.data)] = response.data
        if fields.flags & DATA_IN_STATUS:
            self._end(fields.itt, Outcome(fields.status, bytes(command.data)))

    def _scsi_response(self, response: Response) -> None:
        fields = response.fields
        command = self._commands[fields.itt]
        self._end(
            fields.itt, Outcome(fields.status, bytes(command.data) if not fields.status else b"", response.data[2:])
        )

    def _r2t(self, response: Response) -> None:
        fields = response.fields
        if self._witness.r2ts.pop(fields.ttt, None) is None:
            return  # the answer to the command came behind it
        out = self._commands[fields.itt].out
        end = fields.buffer_offset + fields.desired_length
        request = data_out(
            out[fields.buffer_offset : end],
            flags=FINAL,
            itt=fields.itt,
            exp_stat_sn=self._witness.stat_sn,
            data_sn=0,
            buffer_offset=fields.buffer_offset,
            ttt=fields.ttt,
        )
        self._socket.sendall(request)

    def _nop_in(self, response: Response) -> None:
        if response.fields.ttt != NO_TAG:
            pong = nop_out(itt=NO_TAG, cmd_sn=self._cmd_sn, exp_stat_sn=self._witness.stat_sn, ttt=response.fields.ttt)
            self._socket.sendall(pong)

    def _async_message(self, response: Response) -> None:
        self.asked_to_log_out = True

    def _function_ended(self, response: Response) -> None:
        lun = self._functions.pop(response.fields.itt)
        for tag, command in list(self._commands.items()):
            if command.lun == lun:
                self._witness.tasks.pop(tag)
                self._end(tag, None)


_HANDLERS: dict[Opcode, Callable[[Session, Response], None]] = {
    Opcode.DATA_IN: Session._data_in,
    Opcode.SCSI_RESPONSE: Session._scsi_response,
    Opcode.R2T: Session._r2t,
    Opcode.NOP_IN: Session._nop_in,
    Opcode.ASYNC_MESSAGE: Session._async_message,
    Opcode.TASK_MANAGEMENT_RESPONSE: Session._function_ended,
}
