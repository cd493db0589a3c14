"""SCSI commands of the full feature phase: commands and data-out in, tasks to the nexus, data-in and responses out."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tgtcore import Region, TaskState
from tgtcore_iscsi.command import IscsiTask, residual
from tgtcore_iscsi.discovery import FindTargets
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.limits import BHS_BYTES, IMMEDIATE_COMMANDS_MAX
from tgtcore_iscsi.pdu import hot
from tgtcore_iscsi.pdu.ahs import parse_ahs
from tgtcore_iscsi.pdu.codes import (
    BIDI_RESIDUAL_SHIFT,
    COMMAND_ATTRIBUTE_MASK,
    COMMAND_READ,
    COMMAND_WRITE,
    FINAL,
    IMMEDIATE,
    Opcode,
    RejectReason,
)
from tgtcore_iscsi.phase import SessionPhase
from tgtcore_iscsi.task_management import TaskManagement
from tgtcore_iscsi.transfers import Transfers

if TYPE_CHECKING:
    from tgtcore_iscsi.connection import Connection
    from tgtcore_iscsi.parameters import Parameters
    from tgtcore_iscsi.session import Session

_MASK = 0xFFFFFFFF


class FullFeature(SessionPhase):
    """The commands of one connection of a normal session."""

    def __init__(
        self,
        connection: "Connection",
        session: "Session",
        parameters: "Parameters",
        stat_sn: int,
        find_targets: FindTargets,
    ) -> None:
        super().__init__(connection, session, parameters, stat_sn, find_targets)
        assert session.nexus is not None
        self.nexus = session.nexus
        self.take_parameters(parameters)
        self._regions = not parameters.has_data_digest
        self.transfers = Transfers(self)
        self._data_under_way = self.transfers.under_way
        self._immediate_commands = 0
        self._memory = connection.memory
        self._requests |= {
            Opcode.SCSI_COMMAND: self._scsi_command,
            Opcode.DATA_OUT: self.transfers.arrived,
            Opcode.TASK_MANAGEMENT_REQUEST: TaskManagement(self).request,
        }

    def take_parameters(self, parameters: "Parameters") -> None:
        """As of now, send segments of the new length."""
        super().take_parameters(parameters)
        self._segment_max = min(parameters.max_send_data_segment_length, parameters.max_burst_length)

    @property
    def can_take_more(self) -> bool:
        """While the initiator has data-out to send, reading goes on: nothing else would let those commands end."""
        return self.data_in_bytes <= self._memory.share_bytes or bool(self._data_under_way)

    @property
    def held_bytes(self) -> int:
        """Data-in that commands will still need, and data-out in buffers."""
        return self.data_in_bytes + self.transfers.held_bytes

    # ---- requests ---------------------------------------------------------------------------------------------------

    def _scsi_command(
        self, buffer: bytearray | bytes, at: int, data_at: int, data_length: int, ahs_length: int
    ) -> None:
        flags, _, lun, itt, length, cmd_sn, _, cdb = hot.unpack_scsi_command(buffer, at)
        window = self.window
        immediate_delivery = buffer[at] & IMMEDIATE
        if not immediate_delivery and cmd_sn == window.exp_cmd_sn and cmd_sn != (window.max_cmd_sn + 1) & _MASK:
            window.exp_cmd_sn = (cmd_sn + 1) & _MASK
        elif not self.in_order(buffer, at, data_at + data_length):
            return
        if immediate_delivery and self._immediate_commands >= IMMEDIATE_COMMANDS_MAX:
            self.transfers.drop(itt)
            self.services.reject(RejectReason.IMMEDIATE_COMMAND_REJECT, bytes(buffer[at : at + BHS_BYTES]))
            return
        nexus = self.nexus
        if itt in nexus.tasks:
            raise RemoteProtocolError(f"task tag {itt:#010x} is in use", reason=RejectReason.TASK_IN_PROGRESS)
        expected_out = length if flags & COMMAND_WRITE else 0
        expected_in = length if flags & COMMAND_READ else 0
        read_length = None
        if ahs_length:
            cdb, read_length = parse_ahs(cdb, buffer[at + BHS_BYTES : at + BHS_BYTES + ahs_length])
        if expected_out and expected_in:
            if read_length is None:
                raise _invalid("the read length of a bidirectional command is missing")
            expected_in = read_length
        task = IscsiTask(nexus, lun, itt, flags & COMMAND_ATTRIBUTE_MASK, cdb, expected_out, expected_in)
        task.phase = self
        task.accepts_region = self._regions
        if immediate_delivery:
            task.immediate_delivery = True
            self._immediate_commands += 1
        if expected_out or data_length:
            self._submit_with_data(task, flags, buffer, data_at, data_length)
        else:
            if not flags & FINAL:
                raise _invalid("the F bit is missing in a command without data-out")
            self.data_in_bytes += expected_in
            if self._data_under_way and self.data_in_bytes > self._memory.share_bytes:
                nexus.turn_away(task)
            else:
                nexus.submit(task)

    def _submit_with_data(
        self, task: IscsiTask, flags: int, buffer: bytearray | bytes, data_at: int, data_length: int
    ) -> None:
        parameters = self.parameters
        if data_length:
            if not parameters.immediate_data:
                raise _invalid("immediate data although ImmediateData=No")
            if data_length > task.expected_out or data_length > parameters.first_burst_length:
                raise _invalid(
                    f"{data_length} bytes of immediate data, more than FirstBurstLength or the expected length"
                )
        transfers = self.transfers
        if not flags & FINAL and parameters.initial_r2t:
            raise _invalid("unsolicited data announced although InitialR2T=Yes")
        if transfers.full and (data_length or not flags & FINAL):
            if not flags & FINAL:
                transfers.drop(task.tag)
            self.data_in_bytes += task.expected_in
            self.nexus.turn_away(task)
            return
        data = memoryview(buffer)[data_at : data_at + data_length]
        if flags & FINAL:
            task.data_out = data
        else:
            transfers.begin_unsolicited(task, data)
        transfers.begins_again(task.tag)
        self.data_in_bytes += task.expected_in
        self.nexus.submit(task)
        if data_length and task.data_out is data and task.state is not TaskState.ENDED:
            transfers.keep(task, data)

    # ---- responses --------------------------------------------------------------------------------------------------

    def task_ended(self, task: IscsiTask) -> None:
        """Send what a task ended with; called by the task."""
        window = self.window
        if task.immediate_delivery:
            self._immediate_commands -= 1
        else:
            window.max_cmd_sn = (window.max_cmd_sn + 1) & _MASK
        self.data_in_bytes -= task.expected_in
        if task.expected_out:
            self.transfers.ended(task)
        if self.closed:
            self.connection.tell_memory()
            return
        if not task.responds:
            self.connection.rouse()
            return
        data = task.data_in
        if data is None or task.sense or not task.expected_in or not len(data):
            self._send_response(task, 0 if data is None else len(data))
        elif len(data) == task.expected_in <= self._segment_max and not task.expected_out:
            stat_sn = self.stat_sn
            self.stat_sn = (stat_sn + 1) & _MASK
            self._send(
                hot.data_in_last(
                    0, task.status, len(data), task.tag, stat_sn, window.exp_cmd_sn, window.max_cmd_sn, 0, 0, 0
                ),
                data,
            )
        else:
            self._send_data_in(task)

    def _send_data_in(self, task: IscsiTask) -> None:
        """Data-In PDUs in sequences of MaxBurstLength, the last with the status (RFC 7143 11.7).

        The status of a bidirectional command, with two residuals, needs a PDU of its own; its R2Ts and Data-In PDUs are counted
        together (4.2.2.4).
        """
        data = task.data_in
        assert data is not None
        flags, resid = residual(task.expected_in, len(data))
        length = min(len(data), task.expected_in)
        max_segment, max_burst = self._segment_max, self.parameters.max_burst_length
        window = self.window
        offset = 0
        data_sn = 0 if task.data is None else task.data.r2t_sn
        while True:
            burst_left = max_burst - offset % max_burst
            piece = min(max_segment, burst_left, length - offset)
            part = _part(data, offset, piece)
            end = offset + piece
            if end == length:
                break
            final = FINAL if end % max_burst == 0 else 0
            header = hot.data_in(final, piece, task.tag, window.exp_cmd_sn, window.max_cmd_sn, data_sn, offset)
            self._send(header, part)
            offset, data_sn = end, data_sn + 1
        if task.expected_out:
            header = hot.data_in(FINAL, piece, task.tag, window.exp_cmd_sn, window.max_cmd_sn, data_sn, offset)
            self._send(header, part)
            self._send_response(task, len(data), data_sn + 1)
            return
        self._send(
            hot.data_in_last(
                flags,
                task.status,
                piece,
                task.tag,
                self.next_stat_sn(),
                window.exp_cmd_sn,
                window.max_cmd_sn,
                data_sn,
                offset,
                resid,
            ),
            part,
        )

    def _send_response(self, task: IscsiTask, data_in_length: int, exp_data_sn: int = 0) -> None:
        sense = task.sense
        flags = resid = bidi_resid = 0
        if task.expected_out:
            flags, resid = residual(task.expected_out, task.wanted_out if not sense else task.expected_out)
            if task.expected_in:
                bidi_flags, bidi_resid = residual(task.expected_in, 0 if sense else data_in_length)
                flags |= bidi_flags << BIDI_RESIDUAL_SHIFT
        elif task.expected_in or data_in_length:
            flags, resid = residual(task.expected_in, 0 if sense else data_in_length)
        elif task.wanted_out and not sense:
            flags, resid = residual(0, task.wanted_out)
        segment = len(sense).to_bytes(2, "big") + sense if sense else None
        window = self.window
        self._send(
            hot.scsi_response(
                flags,
                task.status,
                len(segment) if segment else 0,
                task.tag,
                self.next_stat_sn(),
                window.exp_cmd_sn,
                window.max_cmd_sn,
                exp_data_sn,
                resid,
                bidi_resid,
            ),
            segment,
        )

    # ---- the end ----------------------------------------------------------------------------------------------------

    def log_out(self, then: Callable[[], None]) -> None:
        """The initiator ends the session; as :meth:`close`."""
        self.nexus.logged_out = True
        self.close(then)

    def close(self, then: Callable[[], None]) -> None:
        """The connection is gone or going: the nexus is lost; ``then`` when the last task has ended."""
        super().close(lambda: self.nexus.close(then))

    def hand_over(self, then: Callable[[], None]) -> None:
        """Another connection takes the session over: tasks end in silence, the nexus stays; ``then`` when all have ended."""
        super().close(lambda: self.nexus.abort_tasks(then))


def _part(data: "bytes | bytearray | memoryview | Region", offset: int, length: int) -> "memoryview | Region":
    if isinstance(data, Region):
        return data.part(offset, length)
    return memoryview(data)[offset : offset + length]


def _invalid(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason=RejectReason.INVALID_PDU_FIELD)
