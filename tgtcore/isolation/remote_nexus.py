"""An I_T nexus as a driver in a process of its own has it: the logical units are in the core."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tgtcore.nexus import InitiatorPort, Nexus, TargetPort, Tmf, TmfRequest, TmfResponse
from tgtcore.nexus.management import Answer
from tgtcore.ring import OpenStatus, Request, RingFunction, messages
from tgtcore.scsi.lun import decode_lun
from tgtcore.scsi.status import Status

if TYPE_CHECKING:
    from tgtcore.isolation.correspondent import Correspondent
    from tgtcore.target import Target
    from tgtcore.task import Task

_FUNCTIONS = {Tmf[member.name]: member for member in RingFunction if member is not RingFunction.NEXUS_TASKS}
_ON_TASK = (Tmf.ABORT_TASK, Tmf.QUERY_TASK)
_NO_ABORT = (Tmf.QUERY_TASK, Tmf.QUERY_TASK_SET, Tmf.QUERY_ASYNCHRONOUS_EVENT, Tmf.CLEAR_ACA)
_ON_NEXUS = (Tmf.I_T_NEXUS_RESET, Tmf.TARGET_RESET)


class RemoteNexus(Nexus):
    """A nexus whose tasks go over the ring.

    :param number: its number on the ring.
    """

    def __init__(
        self,
        target: "Target",
        initiator_port: InitiatorPort,
        target_port: TargetPort,
        correspondent: "Correspondent",
        number: int,
    ) -> None:
        super().__init__(target, initiator_port, target_port, _no_commands, _no_commands)
        self.number = number
        self.ids: dict[int, int] = {}
        """Task tag → id of the command on the ring."""
        self._correspondent = correspondent
        self._far_side: Any = _FarSide(correspondent)
        self._ends: list[Callable[[], None]] = []

    def submit(self, task: "Task") -> None:
        """Pass a task on to the core."""
        assert task.tag not in self.tasks, f"{task}: the tag is in use"
        self.accept(task)
        task.itl = self._far_side
        self._correspondent.submit(task)

    def turn_away(self, task: "Task") -> None:
        """End a task with TASK SET FULL; the core need not know."""
        self.accept(task)
        task.finish(Status.TASK_SET_FULL, b"")

    def task_ended(self, task: "Task") -> None:
        """Let a task go."""
        self.ids.pop(task.tag, None)
        del self.tasks[task.tag]

    # ---- task management ----------------------------------------------------------------------------------------------

    def manage(self, request: TmfRequest, answer: Answer) -> None:
        """Let the core perform a function; commands that wait here yet are not known to it."""
        function = request.function
        task = self.tasks.get(request.tag) if function in _ON_TASK else None
        if task is not None and not _same_lun(task.lun, request.lun):
            task = None
        if task is not None and self._correspondent.waits(self, task):
            if function is Tmf.ABORT_TASK:
                self._correspondent.withdraw(self, lambda one: one is task)
            answer(TmfResponse.FUNCTION_COMPLETE if function is Tmf.ABORT_TASK else TmfResponse.FUNCTION_SUCCEEDED)
            return
        if function not in _ON_TASK and function not in _NO_ABORT:
            everywhere = function in _ON_NEXUS
            self._correspondent.withdraw(self, lambda one: everywhere or _same_lun(one.lun, request.lun))
        if function is Tmf.QUERY_TASK_SET and self._waits_for(request.lun):
            answer = _present(answer)
        referenced = self.ids.get(request.tag, 0) if task is not None else 0
        self._function(_FUNCTIONS[function], request.lun, referenced, answer)

    def _waits_for(self, lun: int) -> bool:
        """Whether a command for a LUN waits here."""
        return any(_same_lun(one.lun, lun) and self._correspondent.waits(self, one) for one in self.tasks.values())

    def abort_tasks(self, then: Callable[[], None]) -> None:
        """Abort every unfinished task in silence."""
        self._correspondent.withdraw(self, lambda one: True)
        self._function(RingFunction.NEXUS_TASKS, 0, 0, lambda response: then())

    def _function(self, function: RingFunction, lun: int, referenced: int, answer: Answer) -> None:
        def done(slots: memoryview, at: int) -> None:
            answer(TmfResponse(slots[at + 1]))

        self._correspondent.enquiries.request(
            messages.TASK_MANAGEMENT,
            done,
            Request.TASK_MANAGEMENT,
            function,
            0,
            self.number,
            None,
            lun,
            referenced,
        )

    # ---- its beginning ------------------------------------------------------------------------------------------------

    def opened_late(self, slots: memoryview, at: int) -> None:
        """The core has opened it when nobody waited for that any more: nobody will use it."""
        if slots[at + 1] == OpenStatus.OPENED:
            self._correspondent.enquiries.request(
                messages.NEXUS_CLOSE, _forgotten, Request.NEXUS_CLOSE, 0, 0, self.number, None
            )

    # ---- its end ------------------------------------------------------------------------------------------------------

    def close(self, then: Callable[[], None]) -> None:
        """I_T nexus loss; idempotent."""
        if self.closed:
            then()
            return
        self._ends.append(then)
        if len(self._ends) > 1:
            return
        self.leases.shut()
        self._correspondent.withdraw(self, lambda one: True)
        self._correspondent.enquiries.request(
            messages.NEXUS_CLOSE, self._far_side_closed, Request.NEXUS_CLOSE, self.logged_out, 0, self.number, None
        )

    def _far_side_closed(self, slots: memoryview, at: int) -> None:
        self._gone(lambda: None)
        ends, self._ends = self._ends, []
        for then in ends:
            then()


class _FarSide:
    """Stands for the I_T_L nexus and the logical unit, which the core has, where a task looks for them."""

    def __init__(self, correspondent: "Correspondent") -> None:
        self.lu = self
        self.task_set = self
        self.waiting = ()
        """No task set has tasks of this one's here."""
        self.execute = correspondent.data_arrived


def _same_lun(field: int, other: int) -> bool:
    """Whether two LUN fields mean one LUN, which peripheral device and flat space addressing write differently."""
    return field == other or _lun(field) == _lun(other)


def _lun(field: int) -> int:
    try:
        return decode_lun(field.to_bytes(8, "big"))
    except ValueError:
        return -1 - field  # it means no LUN, and only itself


def _present(answer: Answer) -> Answer:
    """Answers QUERY TASK SET when there are commands of which the core does not know."""

    def amended(response: TmfResponse) -> None:
        answer(TmfResponse.FUNCTION_SUCCEEDED if response is TmfResponse.FUNCTION_COMPLETE else response)

    return amended


def _forgotten(slots: memoryview, at: int) -> None:
    return


def _no_commands(_: Any) -> Any:
    raise AssertionError("the opcode tables are in the core")
