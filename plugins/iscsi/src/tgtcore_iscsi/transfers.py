"""The data-out of all commands of one connection: what follows them unasked, what R2Ts ask for, and in how much memory."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tgtcore import TaskState
from tgtcore_iscsi.data_out import DataOut
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.limits import ENDED_TRANSFERS_MAX
from tgtcore_iscsi.pdu import hot
from tgtcore_iscsi.pdu.codes import RejectReason

if TYPE_CHECKING:
    from tgtcore_iscsi.command import IscsiTask
    from tgtcore_iscsi.full_feature import FullFeature

_DATA = TaskState.DATA


class Transfers:
    """Commands whose data-out did not all come with them.

    A command asks for data when there is memory for it; until then its R2Ts wait, in the order of the commands.  One command may
    always go on, however large it is, so that every command gets its turn.
    """

    def __init__(self, phase: "FullFeature") -> None:
        self.under_way: dict[int, IscsiTask] = {}
        """By task tag: the initiator has data still to send."""
        self.held_bytes = 0
        """What is in buffers, or has its place reserved there."""
        self._phase = phase
        self._memory = phase.connection.memory
        self._waiting: dict[int, IscsiTask] = {}
        self._soliciting: set[int] = set()
        self._ended: dict[int, None] = {}
        self._tags = _transfer_tags()

    @property
    def full(self) -> bool:
        """Whether no command may bring data along now."""
        return self.held_bytes > self._memory.share_bytes

    def begin_unsolicited(self, task: "IscsiTask", immediate: memoryview) -> None:
        """More data follows the command unasked.

        :raises RemoteProtocolError: there is nothing left that could follow.
        """
        end = min(self._phase.parameters.first_burst_length, task.expected_out)
        if end <= len(immediate):
            raise _invalid("the F bit is missing in a command that no unsolicited data can follow")
        task.data = DataOut(end, immediate, end)
        self.held_bytes += end
        self.under_way[task.tag] = task

    def keep(self, task: "IscsiTask", immediate: memoryview) -> None:
        """The command goes on with data that came with it and is still in the receive buffer."""
        self._phase.connection.inbound.keep()
        task.kept_bytes = len(immediate)
        self.held_bytes += task.kept_bytes

    def want(self, task: "IscsiTask") -> None:
        """The command can go on when it has ``wanted_out`` bytes, or as many as the initiator is going to send."""
        if self._must_wait(task):
            self._waiting[task.tag] = task
        else:
            self._solicit(task)

    def _must_wait(self, task: "IscsiTask") -> bool:
        if not self._soliciting:
            return False
        more = min(task.wanted_out, task.expected_out) - (task.data.size if task.data is not None else 0)
        # one that needs no more never waits: it could end at once when its turn comes, and so on through all that wait
        return more > 0 and self.held_bytes + more > self._memory.share_bytes

    def _solicit(self, task: "IscsiTask") -> None:
        need = min(task.wanted_out, task.expected_out)
        data = task.data
        if data is None:
            immediate = memoryview(task.data_out if task.data_out is not None else b"")
            task.data_out = None
            data = task.data = DataOut(need, immediate, len(immediate))
            self.held_bytes += need
            self.under_way[task.tag] = task
        elif need > data.size:
            self.held_bytes += need - data.size
        data.want(need)
        self._soliciting.add(task.tag)
        self._go_on(task, data)

    def arrived(self, buffer: bytearray | bytes, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        """Take a Data-Out PDU."""
        flags, _, _, itt, ttt, _, data_sn, offset = hot.unpack_data_out(buffer, at)
        task = self.under_way.get(itt)
        if task is None or task.data is None:
            if itt in self._ended:
                return  # the command ended before all its data was here
            raise _invalid(f"Data-Out for task tag {itt:#010x}, which asks for nothing")
        task.data.arrived(flags, ttt, data_sn, offset, memoryview(buffer)[data_at : data_at + data_length])
        if task.state is _DATA and itt not in self._waiting:
            self._go_on(task, task.data)

    def _go_on(self, task: "IscsiTask", data: DataOut) -> None:
        if data.complete:
            del self.under_way[task.tag]
            task.data_out = memoryview(data.buffer)[: min(task.wanted_out, task.expected_out)]
            task.data_arrived()
            return
        phase = self._phase
        parameters, window = phase.parameters, phase.window
        for ask in data.requests(parameters.max_burst_length, parameters.max_outstanding_r2t, self._tags):
            phase.connection.send(
                hot.r2t(
                    task.lun,
                    task.tag,
                    ask.ttt,
                    phase.stat_sn,
                    window.exp_cmd_sn,
                    window.max_cmd_sn,
                    ask.r2t_sn,
                    ask.offset,
                    ask.length,
                ),
                None,
            )

    # ---- the end of commands ------------------------------------------------------------------------------------------

    def begins_again(self, tag: int) -> None:
        """A new command uses a task tag: data for it is data of this command."""
        self._ended.pop(tag, None)

    def ended(self, task: "IscsiTask") -> None:
        """A command has ended, perhaps before all its data came; others have its memory."""
        data = task.data
        self.held_bytes -= task.kept_bytes
        if data is not None:
            self.held_bytes -= data.size
            self._soliciting.discard(task.tag)
            if self.under_way.pop(task.tag, None) is not None and data.open:
                self.drop(task.tag)
        if self._waiting:
            self._waiting.pop(task.tag, None)
            self._admit_waiting()

    def _admit_waiting(self) -> None:
        while self._waiting and not self._phase.closed:
            tag, task = next(iter(self._waiting.items()))
            if self._must_wait(task):
                break
            del self._waiting[tag]
            self._solicit(task)

    def drop(self, tag: int) -> None:
        """Ignore data for a command that will not be performed any more, or was not accepted."""
        self._ended[tag] = None
        if len(self._ended) > ENDED_TRANSFERS_MAX:
            del self._ended[next(iter(self._ended))]


def _transfer_tags() -> Iterator[int]:
    """Target transfer tags: any number but FFFFFFFFh, none twice within reach."""
    while True:
        yield from range(1, 0x7FFFFFFF)


def _invalid(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason=RejectReason.INVALID_PDU_FIELD)
