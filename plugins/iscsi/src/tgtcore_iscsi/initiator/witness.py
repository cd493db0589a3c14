"""Watches one logged-in connection as an initiator with the standard in hand: every PDU of the target must be right.

Sans-I/O, for tests of this target and of others.  Tell :class:`Witness` what was sent and what has arrived; it knows nothing of the
commands but their numbers and lengths.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tgtcore_iscsi.digest import data_digest, digest, padded
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.initiator.pdu import Response, parse_response
from tgtcore_iscsi.limits import BHS_BYTES, DIGEST_BYTES
from tgtcore_iscsi.pdu.ahs import parse_ahs
from tgtcore_iscsi.pdu.codes import COMMAND_READ, COMMAND_WRITE, DATA_IN_STATUS, FINAL, NO_TAG, OPCODE_MASK, Opcode
from tgtcore_iscsi.pdu.requests import SCSI_COMMAND
from tgtcore_iscsi.session import before

_MASK = 0xFFFFFFFF


class Violation(AssertionError):
    """The target broke RFC 7143; the message says where."""


@dataclass(frozen=True)
class Agreement:
    """What the login has agreed on, as far as it shows on the wire; lengths in bytes."""

    header_digest: bool = False
    data_digest: bool = False
    segment_max: int = 8192
    """The initiator's MaxRecvDataSegmentLength."""
    burst_max: int = 262144
    r2t_max: int = 1
    depth: int = 128
    """The largest command window that is taken for sane."""


@dataclass
class Progress:
    """One command that has no status yet."""

    room: int
    out: int
    data_sn: int = 0
    offset: int = 0
    burst: int = 0
    r2t_sn: int = 0


class Witness:
    """The state of one connection as the initiator sees it.

    :param stat_sn: the first StatSN of the full feature phase.
    """

    def __init__(self, agreement: Agreement, *, stat_sn: int) -> None:
        self.agreement = agreement
        self.stat_sn = stat_sn
        self.tasks: dict[int, Progress] = {}
        """Commands without status, by task tag."""
        self.r2ts: dict[int, Any] = {}
        """R2Ts that nobody has crossed out yet, by target transfer tag."""
        self.exp_cmd_sn: int | None = None
        self.max_cmd_sn: int | None = None
        self._pending = bytearray()
        self._checks: dict[Opcode, Callable[[Response], None]] = {
            Opcode.NOP_IN: self._nop_in,
            Opcode.SCSI_RESPONSE: self._scsi_response,
            Opcode.TASK_MANAGEMENT_RESPONSE: self._with_status,
            Opcode.TEXT_RESPONSE: self._with_status,
            Opcode.DATA_IN: self._data_in,
            Opcode.LOGOUT_RESPONSE: self._with_status,
            Opcode.R2T: self._r2t,
            Opcode.ASYNC_MESSAGE: self._with_status,
            Opcode.REJECT: self._with_status,
        }

    def sent(self, request: bytes) -> None:
        """A request went out: its header and additional headers, whatever they hold."""
        if request[0] & OPCODE_MASK != Opcode.SCSI_COMMAND:
            return
        fields = SCSI_COMMAND.parse(request)
        out = fields.expected_length if fields.flags & COMMAND_WRITE else 0
        room = fields.expected_length if fields.flags & COMMAND_READ else 0
        if out and room:
            try:
                room = parse_ahs(fields.cdb, request[BHS_BYTES:]).read_length or 0
            except RemoteProtocolError:
                return
        self.tasks.setdefault(fields.itt, Progress(room, out))

    def received(self, data: bytes) -> list[Response]:
        """Check what has arrived and return the complete PDUs.

        :raises Violation: a PDU is not as it should be.
        """
        self._pending += data
        responses = []
        while (response := self._next()) is not None:
            if response.opcode not in self._checks:
                raise Violation(f"opcode {response.opcode:#x} is not for the full feature phase")
            self._window(response.fields)
            self._checks[response.opcode](response)
            responses.append(response)
        return responses

    def _next(self) -> Response | None:
        pending, agreement = self._pending, self.agreement
        header_end = BHS_BYTES + (DIGEST_BYTES if agreement.header_digest else 0)
        if len(pending) < header_end:
            return None
        length = int.from_bytes(pending[5:8], "big")
        data_end = header_end + padded(length)
        end = data_end + (DIGEST_BYTES if agreement.data_digest and length else 0)
        if len(pending) < end:
            return None
        header, data = bytes(pending[:BHS_BYTES]), bytes(pending[header_end:data_end])
        if pending[BHS_BYTES:header_end] not in (b"", digest(header)):
            raise Violation("header digest is wrong")
        if pending[data_end:end] not in (b"", data_digest((data,))):
            raise Violation("data digest is wrong")
        if length > agreement.segment_max:
            raise Violation(f"data segment of {length} bytes, {agreement.segment_max} were agreed")
        del pending[:end]
        return parse_response(header + data)

    def _window(self, fields: Any) -> None:
        exp, last = fields.exp_cmd_sn, fields.max_cmd_sn
        for name, old, new in (("ExpCmdSN", self.exp_cmd_sn, exp), ("MaxCmdSN", self.max_cmd_sn, last)):
            if old is not None and before(new, old):
                raise Violation(f"{name} went back from {old} to {new}")
        if (last - exp + 1) & _MASK > self.agreement.depth:
            raise Violation(f"the window from {exp} to {last} is larger than {self.agreement.depth}")
        self.exp_cmd_sn, self.max_cmd_sn = exp, last

    # ---- one kind each ------------------------------------------------------------------------------------------------

    def _with_status(self, response: Response) -> None:
        if response.fields.stat_sn != self.stat_sn:
            raise Violation(f"{response.opcode.name}: StatSN is {response.fields.stat_sn}, expected {self.stat_sn}")
        self.stat_sn = (self.stat_sn + 1) & _MASK

    def _without_status(self, response: Response) -> None:
        if response.fields.stat_sn != self.stat_sn:
            raise Violation(f"{response.opcode.name}: StatSN is {response.fields.stat_sn}, the next is {self.stat_sn}")

    def _nop_in(self, response: Response) -> None:
        (self._without_status if response.fields.itt == NO_TAG else self._with_status)(response)

    def _scsi_response(self, response: Response) -> None:
        self._with_status(response)
        self._task(response)
        self._ended(response.fields.itt)

    def _data_in(self, response: Response) -> None:
        fields, task, length = response.fields, self._task(response), len(response.data)
        if (fields.data_sn, fields.buffer_offset) != (task.data_sn, task.offset):
            raise Violation(
                f"Data-In {fields.data_sn} at {fields.buffer_offset}, expected {task.data_sn} at {task.offset}"
            )
        task.data_sn += 1
        task.offset += length
        task.burst += length
        if task.offset > task.room:
            raise Violation(f"Data-In up to offset {task.offset}, there is room for {task.room}")
        if task.burst > self.agreement.burst_max:
            raise Violation(f"a sequence of {task.burst} bytes, MaxBurstLength is {self.agreement.burst_max}")
        if fields.flags & FINAL:
            task.burst = 0
        if fields.flags & DATA_IN_STATUS:
            if not fields.flags & FINAL:
                raise Violation("Data-In with status but without the F bit")
            self._with_status(response)
            self._ended(fields.itt)

    def _r2t(self, response: Response) -> None:
        fields, task = response.fields, self._task(response)
        self._without_status(response)
        if fields.r2t_sn != task.r2t_sn:
            raise Violation(f"R2TSN is {fields.r2t_sn}, expected {task.r2t_sn}")
        task.r2t_sn += 1
        if fields.ttt == NO_TAG or fields.ttt in self.r2ts:
            raise Violation(f"target transfer tag {fields.ttt:#x} is reserved or in use")
        if not 0 < fields.desired_length <= self.agreement.burst_max:
            raise Violation(f"R2T for {fields.desired_length} bytes")
        if fields.buffer_offset + fields.desired_length > task.out:
            raise Violation(f"R2T beyond the {task.out} bytes that the command has")
        self.r2ts[fields.ttt] = fields
        unanswered = sum(r2t.itt == fields.itt for r2t in self.r2ts.values())
        if unanswered > self.agreement.r2t_max:
            raise Violation(f"{unanswered} R2Ts at once, MaxOutstandingR2T is {self.agreement.r2t_max}")

    def _task(self, response: Response) -> Progress:
        task = self.tasks.get(response.fields.itt)
        if task is None:
            raise Violation(f"{response.opcode.name} for task tag {response.fields.itt:#x}, which has no command")
        return task

    def _ended(self, itt: int) -> None:
        del self.tasks[itt]
        for ttt in [ttt for ttt, r2t in self.r2ts.items() if r2t.itt == itt]:
            del self.r2ts[ttt]
