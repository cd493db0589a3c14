"""Several commands at once on one session of libiscsi, and task management while they are under way."""

import ctypes
import itertools
import select
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oracle.libiscsi import (
    COMMAND_CALLBACK,
    NO_RESPONSE,
    Answer,
    DataOut,
    InitiatorError,
    Session,
    answer_of,
    direction_of,
    library,
)

Done = Callable[[Answer | None], None]
"""Told how a command ended; None: without an answer."""


@dataclass
class _Pending:
    task: Any
    data_out: DataOut
    done: Done


class PipelinedSession(Session):
    """A session whose commands don't wait for one another; call :meth:`serve` over and over."""

    def __init__(self, url: str, **options: Any) -> None:
        self._keys = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._over: list[tuple[_Pending, Answer | None]] = []
        self._cut: list[_Pending] = []
        """Writes that did not end well: libiscsi may have data-out of them in its queue, and looks into the task then."""
        self._function_over: int | None = None
        super().__init__(url, **options)  # drops what it has begun when it fails
        # kept here: libiscsi calls them as long as the context lives
        self._command_callback = COMMAND_CALLBACK(self._command_over)
        self._function_callback = COMMAND_CALLBACK(self._take_function_status)

    @property
    def in_flight(self) -> int:
        """Commands that have not ended."""
        return len(self._pending)

    @property
    def everything_sent(self) -> bool:
        """Whether all that was started has left libiscsi, which lets task management overtake commands in its own queue."""
        return not library.iscsi_out_queue_length(self.context)

    def start(self, cdb: bytes, done: Done, *, read: int = 0, data_out: bytes = b"") -> None:
        """Send one CDB; `done` is called by a later :meth:`serve`, :meth:`cancel` or :meth:`drop`."""
        task = library.scsi_create_task(len(cdb), cdb, direction_of(read, data_out), len(data_out) or read)
        key = next(self._keys)
        pending = self._pending[key] = _Pending(task, DataOut(len(data_out), data_out), done)
        out = ctypes.byref(pending.data_out) if data_out else None
        context = self.context
        if library.iscsi_scsi_command_async(context, self.lun, task, self._command_callback, out, key):
            del self._pending[key]
            library.scsi_free_scsi_task(task)
            raise InitiatorError(f"CDB {cdb.hex(' ')}: {self._reason()}")

    def start_function(self, function: int) -> None:
        """Send a task management function on the LUN; its end shows in :meth:`function_ended`."""
        self._function_over = None
        context, callback = self.context, self._function_callback
        if library.iscsi_task_mgmt_async(context, self.lun, function, 0xFFFFFFFF, 0, callback, None):
            raise InitiatorError(f"task management function {function}: {self._reason()}")

    def function_ended(self) -> bool:
        """Whether the function was completed; InitiatorError where it was refused."""
        if self._function_over:
            raise InitiatorError(f"task management: status {self._function_over}")
        return self._function_over is not None

    def serve(self, timeout_s: float) -> None:
        """Send and receive what there is, after waiting for it; InitiatorError when the connection is lost."""
        context = self.context
        poll = select.poll()
        poll.register(library.iscsi_get_fd(context), library.iscsi_which_events(context))
        ready = poll.poll(timeout_s * 1000)
        alive = library.iscsi_service(context, ready[0][1] if ready else 0) == 0
        self._tell()
        if not alive:
            raise InitiatorError(f"connection lost: {self._reason()}")

    def cancel(self) -> None:
        """Wait for no answer any more: the target has ended these commands.

        Call it only when :attr:`everything_sent` was true after the last :meth:`start`: a command that it has not sent leaves a
        gap in its CmdSNs, and the target executes nothing behind that (RFC 7143 4.2.2.1).
        """
        library.iscsi_scsi_cancel_all_tasks(self.context)
        self._tell()

    def drop(self) -> None:
        """Close the connection in the middle of whatever is under way."""
        super().drop()
        self._tell()
        while self._cut:
            library.scsi_free_scsi_task(self._cut.pop().task)

    def _command_over(self, context: int, status: int, data: int, key: int) -> None:
        pending = self._pending.pop(key)
        self._over.append((pending, answer_of(pending.task.contents) if status < NO_RESPONSE else None))

    def _take_function_status(self, context: int, status: int, data: int, key: int) -> None:
        response = ctypes.cast(data, ctypes.POINTER(ctypes.c_uint32)).contents.value if data else 0
        self._function_over = status or response

    def _tell(self) -> None:
        over, self._over = self._over, []
        for pending, answer in over:
            if pending.data_out.size and (answer is None or not answer.good):
                self._cut.append(pending)
            else:
                library.scsi_free_scsi_task(pending.task)
            pending.done(answer)
