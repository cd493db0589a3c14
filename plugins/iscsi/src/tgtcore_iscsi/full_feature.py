"""SCSI commands of the full feature phase: commands and data-out in, tasks to the nexus, data-in and responses out."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tgtcore import Region, TaskState
from tgtcore_iscsi.command import IscsiTask, residual
from tgtcore_iscsi.data_out import DataOut
from tgtcore_iscsi.discovery import FindTargets
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.limits import BHS_BYTES, ENDED_TRANSFERS_MAX, TRANSFER_BYTES_MAX
from tgtcore_iscsi.pdu import hot
from tgtcore_iscsi.pdu.ahs import parse_ahs
from tgtcore_iscsi.pdu.codes import (
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

if TYPE_CHECKING:
    from tgtcore_iscsi.connection import Connection
    from tgtcore_iscsi.parameters import Parameters
    from tgtcore_iscsi.session import Session

_MASK = 0xFFFFFFFF
_DATA = TaskState.DATA


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
        self._transfers: dict[int, IscsiTask] = {}
        self._ended_transfers: dict[int, None] = {}
        self._transfer_tags = _transfer_tags()
        self._requests |= {
            Opcode.SCSI_COMMAND: self._scsi_command,
            Opcode.DATA_OUT: self._data_out,
            Opcode.TASK_MANAGEMENT_REQUEST: TaskManagement(self).request,
        }

    def take_parameters(self, parameters: "Parameters") -> None:
        """As of now, send segments of the new length."""
        super().take_parameters(parameters)
        self._segment_max = min(parameters.max_send_data_segment_length, parameters.max_burst_length)

    # ---- requests ---------------------------------------------------------------------------------------------------

    def _scsi_command(
        self, buffer: bytearray | bytes, at: int, data_at: int, data_length: int, ahs_length: int
    ) -> None:
        flags, _, lun, itt, length, cmd_sn, _, cdb = hot.unpack_scsi_command(buffer, at)
        window = self.window
        immediate_delivery = buffer[at] & IMMEDIATE
        if not immediate_delivery and cmd_sn == window.exp_cmd_sn:
            window.exp_cmd_sn = (cmd_sn + 1) & _MASK
        elif not self.in_order(buffer, at, data_at + data_length):
            return
        nexus = self.nexus
        if itt in nexus.tasks:
            raise RemoteProtocolError(f"task tag {itt:#010x} is in use", reason=RejectReason.TASK_IN_PROGRESS)
        expected_out = length if flags & COMMAND_WRITE else 0
        expected_in = length if flags & COMMAND_READ else 0
        if ahs_length:
            more = parse_ahs(cdb, buffer[at + BHS_BYTES : at + BHS_BYTES + ahs_length])
            cdb = more.cdb
            if expected_out and expected_in:
                expected_in = more.read_length or 0
        task = IscsiTask(nexus, lun, itt, flags & COMMAND_ATTRIBUTE_MASK, cdb, expected_out, expected_in)
        task.phase = self
        task.accepts_region = self._regions
        if immediate_delivery:
            task.immediate_delivery = True
        self.unfinished_bytes += expected_in or expected_out
        if expected_out or data_length:
            self._submit_with_data(task, flags, buffer, data_at, data_length)
        else:
            if not flags & FINAL:
                raise _invalid("the F bit is missing in a command without data-out")
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
        data = memoryview(buffer)[data_at : data_at + data_length]
        if flags & FINAL:
            task.data_out = data
        else:
            if parameters.initial_r2t:
                raise _invalid("unsolicited data announced although InitialR2T=Yes")
            end = min(parameters.first_burst_length, task.expected_out)
            task.data = DataOut(end, data, end)
            if task.data.open:
                self._transfers[task.tag] = task
        self._ended_transfers.pop(task.tag, None)
        self.nexus.submit(task)
        if data_length and task.data_out is data and task.state is not TaskState.ENDED:
            self.connection.inbound.keep()

    def want_data(self, task: IscsiTask) -> None:
        """The command can go on when it has ``wanted_out`` bytes, or as many as the initiator is going to send."""
        need = min(task.wanted_out, task.expected_out)
        assert need <= TRANSFER_BYTES_MAX, f"{task} wants {need} bytes"
        data = task.data
        if data is None:
            immediate = task.data_out if task.data_out is not None else b""
            data = task.data = DataOut(need, memoryview(immediate), len(immediate))
            task.data_out = None
            self._transfers[task.tag] = task
        data.want(need)
        self._go_on(task, data)

    def _data_out(self, buffer: bytearray | bytes, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        flags, _, _, itt, ttt, _, data_sn, offset = hot.unpack_data_out(buffer, at)
        task = self._transfers.get(itt)
        if task is None or task.data is None:
            if itt in self._ended_transfers:
                return  # the command ended before all its data was here
            raise _invalid(f"Data-Out for task tag {itt:#010x}, which asks for nothing")
        task.data.arrived(flags, ttt, data_sn, offset, memoryview(buffer)[data_at : data_at + data_length])
        if task.state is _DATA:
            self._go_on(task, task.data)

    def _go_on(self, task: IscsiTask, data: DataOut) -> None:
        if data.complete:
            del self._transfers[task.tag]
            task.data_out = memoryview(data.buffer)[: min(task.wanted_out, task.expected_out)]
            task.data_arrived()
            return
        parameters, window = self.parameters, self.window
        for ask in data.requests(parameters.max_burst_length, parameters.max_outstanding_r2t, self._transfer_tags):
            self._send(
                hot.r2t(
                    task.lun,
                    task.tag,
                    ask.ttt,
                    self.stat_sn,
                    window.exp_cmd_sn,
                    window.max_cmd_sn,
                    ask.r2t_sn,
                    ask.offset,
                    ask.length,
                ),
                None,
            )

    # ---- responses --------------------------------------------------------------------------------------------------

    def task_ended(self, task: IscsiTask) -> None:
        """Send what a task ended with; called by the task."""
        window = self.window
        if not task.immediate_delivery:
            window.max_cmd_sn = (window.max_cmd_sn + 1) & _MASK
        self.unfinished_bytes -= task.expected_in or task.expected_out
        if task.data is not None:
            self._forget_transfer(task)
        if self.closed or not task.responds:
            return
        data = task.data_in
        if data is None or task.sense or not task.expected_in or not len(data):
            self._send_response(task, 0 if data is None else len(data))
        elif len(data) == task.expected_in <= self._segment_max:
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
        """Data-In PDUs in bursts of MaxBurstLength, the last with the status (RFC 7143 11.7)."""
        data = task.data_in
        assert data is not None
        flags, resid = residual(task.expected_in, len(data))
        length = min(len(data), task.expected_in)
        max_segment, max_burst = self._segment_max, self.parameters.max_burst_length
        window = self.window
        offset = data_sn = 0
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

    def _send_response(self, task: IscsiTask, data_in_length: int) -> None:
        sense = task.sense
        flags = resid = 0
        if task.expected_out:
            flags, resid = residual(task.expected_out, task.wanted_out if not sense else task.expected_out)
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
                0,
                resid,
            ),
            segment,
        )

    def _forget_transfer(self, task: IscsiTask) -> None:
        if self._transfers.pop(task.tag, None) is None or task.data is None or not task.data.open:
            return
        self._ended_transfers[task.tag] = None
        if len(self._ended_transfers) > ENDED_TRANSFERS_MAX:
            del self._ended_transfers[next(iter(self._ended_transfers))]

    # ---- the end ----------------------------------------------------------------------------------------------------

    def close(self, then: Callable[[], None]) -> None:
        """The connection is gone or going: the nexus is lost; ``then`` when the last task has ended."""
        super().close(lambda: self.nexus.close(then))


def _transfer_tags() -> Iterator[int]:
    """Target transfer tags: any number but FFFFFFFFh, none twice within reach."""
    while True:
        yield from range(1, 0x7FFFFFFF)


def _part(data: "bytes | bytearray | memoryview | Region", offset: int, length: int) -> "memoryview | Region":
    if isinstance(data, Region):
        return Region(data.fd, data.offset + offset, length)
    return memoryview(data)[offset : offset + length]


def _invalid(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason=RejectReason.INVALID_PDU_FIELD)
