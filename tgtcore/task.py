"""A task: one SCSI command from its acceptance to its only end.

A transport makes a :class:`Task` for each command that it receives and hands it to the nexus.  From then on the task
ends exactly once, by a response or by an abort, and then its transport is told through :meth:`Task.done`.  Ending twice
is a defect and raises; never ending shows as a lease that nobody gives back.
"""

import logging
from collections.abc import Callable
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

from tgtcore.scsi import asc
from tgtcore.scsi.cdb import command_name
from tgtcore.scsi.sense import Sense, SenseKey
from tgtcore.scsi.status import Status

if TYPE_CHECKING:
    from tgtcore.nexus import ITLNexus, Nexus
    from tgtcore.store import Buffer, Region

_log = logging.getLogger(__name__)


class Attribute(IntEnum):
    """Task attributes (SAM-5 8.6), with the values of the iSCSI ATTR field (RFC 7143 11.3.1)."""

    UNTAGGED = 0
    SIMPLE = 1
    ORDERED = 2
    HEAD_OF_QUEUE = 3
    ACA = 4


class State(Enum):
    """Where a task is in its life."""

    NEW = "not accepted yet"
    DORMANT = "waiting in the task set"
    DATA = "waiting for data-out"
    HELD = "held back by a filter, or while its logical unit is paused"
    RUNNING = "running"
    ENDED = "ended"


_DATA, _RUNNING, _ENDED = State.DATA, State.RUNNING, State.ENDED  # to ask an Enum for a member takes its time


_UNREADABLE = Sense(SenseKey.MEDIUM_ERROR, asc.UNRECOVERED_READ_ERROR).fixed()


class _Pending:
    """The type of PENDING."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PENDING"


PENDING = _Pending()
"""What a command handler returns when the task will end later."""


class Task:
    """One SCSI command in flight.  A transport subclasses it: it defines ``done`` and ``want_data`` and adds its own fields.

    :param nexus: the I_T nexus that it came through.
    :param lun: the 8-byte LUN field as received, as one big-endian number.
    :param tag: unique among the nexus's unfinished tasks (iSCSI: the initiator task tag).
    :param attribute: a task attribute.
    :param cdb: the whole CDB.
    :param expected_out: how many bytes of data-out the initiator is going to send.
    :param expected_in: how many bytes of data-in the initiator has room for.
    """

    # Defaults are class attributes: most commands never change them, and each assignment saved is time saved per command.
    state = State.NEW
    since_s = 0.0
    """When the nexus accepted it, by :func:`time.monotonic`."""
    status: int = Status.GOOD
    sense: bytes = b""
    data_out: "Buffer | None" = None
    """All data-out received so far; it stays valid until the task has ended."""
    data_in: "Buffer | Region | None" = None
    """The answer; it may be longer than ``expected_in``: the transport truncates and reports the overflow."""
    wanted_out = 0
    """How many bytes of data-out the command asks for, known once the command was checked."""
    accepts_region = False
    """Whether the transport can send a :class:`~tgtcore.store.Region` as data-in."""
    itl: "ITLNexus | None" = None
    """The I_T_L nexus; None when the LUN has no logical unit."""
    command: Any = None
    """The entry of the opcode table."""
    arguments: Any = None
    """What the check of the CDB found out, kept for the handler."""
    enabled = False
    """Whether the task set has let it start."""
    dormant = False
    """Whether it waits in the task set."""
    responds = True
    """Whether the initiator gets a response; False for an aborted task."""
    abort_status: int | None = None
    on_end: list[Callable[[], None]] | None = None

    def __init__(
        self,
        nexus: "Nexus",
        lun: int,
        tag: int,
        attribute: int,
        cdb: "bytes",
        expected_out: int,
        expected_in: int,
    ) -> None:
        self.nexus = nexus
        self.lun = lun
        self.tag = tag
        self.attribute = attribute
        self.cdb = cdb
        self.expected_out = expected_out
        self.expected_in = expected_in

    def __str__(self) -> str:
        return f"task 0x{self.tag:x} ({command_name(self.cdb)}, {self.nexus})"

    def done(self) -> None:
        """The task has ended: send the response.  Called once, on the loop's thread.

        Look at ``responds`` first: an aborted task gets no response (SAM-5 5.3.1).
        """
        raise NotImplementedError

    def want_data(self) -> None:
        """The command needs more data-out than ``data_out`` has.

        Fetch what lies beyond it, up to ``min(wanted_out, expected_out)`` bytes in all, set ``data_out`` to the whole, and call
        :meth:`data_arrived`.  Bytes beyond ``wanted_out`` are not asked for.
        """
        raise NotImplementedError

    def complete(self, data_in: "Buffer | Region | None" = None) -> None:
        """End with GOOD status; ``data_in`` (or what was assigned before) is the answer."""
        if data_in is not None:
            self.data_in = data_in
        self.finish(Status.GOOD, b"")

    def finish(self, status: int, sense: bytes) -> None:
        """End with any status.  If the task was aborted meanwhile, the abort decides what the initiator hears."""
        if self.state is _ENDED:
            raise AssertionError(f"{self} was ended twice")
        if self.abort_status is None:
            self.status = status
            self.sense = sense
        else:
            self.status = self.abort_status
            self.responds = self.abort_status != _SILENT
            self.data_in = None
        self.state = _ENDED
        self.nexus.task_ended(self)
        try:
            self.done()
        finally:
            if self.on_end is not None:
                waiting, self.on_end = self.on_end, None  # who waits often knows the task: no cycle is to keep its data
                self._tell_the_end(waiting)
            itl = self.itl
            if itl is not None and itl.task_set.waiting:
                itl.task_set.go_on()

    def lose_data_in(self) -> None:
        """Have another response than GOOD: data-in was a region, which can't be read any more when it is to be sent.

        For transports, between the end of a task and its response.
        """
        self.data_in = None
        self.status, self.sense = Status.CHECK_CONDITION, _UNREADABLE

    def _tell_the_end(self, waiting: list[Callable[[], None]]) -> None:
        """Tell everyone who waits for the end of this task, whatever one of them raises."""
        for told in waiting:
            try:
                told()
            except Exception:
                _log.exception("%s has ended, and who waited for that failed", self)

    def abort(self, status: int | None) -> bool:
        """End as soon as possible, without effect on the medium after this task has ended.

        :param status: TASK ABORTED when another nexus caused it and TAS is one (SAM-5 5.3.1), None to end in silence.
        :returns: whether the task has ended; if not, a worker is still busy with it, and it ends when that work does.
        """
        if self.state is _ENDED:
            return True
        if self.abort_status is None:
            self.abort_status = _SILENT if status is None else status
        if self.state is _RUNNING:
            return False
        self.finish(self.abort_status, b"")
        return True

    def when_ended(self, told: Callable[[], None]) -> None:
        """Call ``told`` after this task has ended and its transport knows."""
        assert self.state is not _ENDED
        if self.on_end is None:
            self.on_end = []
        self.on_end.append(told)

    def data_arrived(self) -> None:
        """All data-out is in ``data_out``; go on."""
        itl = self.itl
        assert itl is not None
        assert self.state is _DATA, f"{self} got data while {self.state.value}"
        itl.execute(self)

    def run_again(self) -> None:
        """Run the handler from its beginning: what it had to wait for has come."""
        itl = self.itl
        assert itl is not None
        itl.execute(self)

    def offload(self, function: Callable[..., Any], *args: Any) -> _Pending:
        """Run ``function(*args)`` where it may block and end the task with what it returns (data-in or None) or raises.

        A handler ends with ``return task.offload(...)``.
        """
        itl = self.itl
        assert itl is not None
        itl.lu.offload(self, function, args)
        return PENDING


_SILENT = -1
