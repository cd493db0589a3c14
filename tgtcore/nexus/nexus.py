"""The I_T nexus: one initiator port logged in to one target port, with its unfinished tasks."""

from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING

from tgtcore.aborting import abort_all, in_silence, when_all_ended
from tgtcore.errors import Crowded, Draining
from tgtcore.leases import Leases
from tgtcore.limits import TASKS_PER_NEXUS_MAX
from tgtcore.news import News, moment
from tgtcore.nexus.census import Census
from tgtcore.nexus.itl import UNUSED, ITLNexus
from tgtcore.nexus.management import Answer, TmfRequest, perform
from tgtcore.nexus.ports import InitiatorPort, TargetPort
from tgtcore.reservations import NexusIdentity
from tgtcore.scsi import asc
from tgtcore.scsi.lun import decode_lun, encode_lun
from tgtcore.scsi.status import Status

if TYPE_CHECKING:
    from tgtcore.device import CommandTable
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.target import Target
    from tgtcore.task import Task

CommandsFor = Callable[["LogicalUnit"], "CommandTable"]
Absent = Callable[["Task"], None]
ReportedLuns = Callable[["Target", Iterable[int], int], list[bytes]]
"""The LUN fields that REPORT LUNS names: :meth:`tgtcore.transport.Transport.reported_luns`."""


def _canonical(target: "Target", luns: Iterable[int], asked: int) -> list[bytes]:
    return [encode_lun(lun) for lun in luns]


class Nexus:
    """One I_T nexus.  A transport opens it through its target at login and closes it at logout or loss.

    :param commands_for: the opcode table of a logical unit for this nexus's transport.
    :param absent: answers tasks for LUNs that have no logical unit.
    :param census: counts what the logical units remember of it, together with that of others.
    :param reported: how REPORT LUNS names logical units on this transport.

    What a logical unit remembers of the nexus, an :class:`~tgtcore.nexus.itl.ITLNexus`, is made when the initiator first addresses
    it: many sessions may see many logical units, and each uses few.  Until then power on is pending there, and what
    concerns everybody is replayed, so that nobody can tell.
    """

    def __init__(
        self,
        target: "Target",
        initiator_port: InitiatorPort,
        target_port: TargetPort,
        commands_for: CommandsFor,
        absent: Absent,
        census: Census | None = None,
        reported: ReportedLuns = _canonical,
    ) -> None:
        self.target = target
        self.initiator_port = initiator_port
        self.target_port = target_port
        self.identity = NexusIdentity(initiator_port.transport_id, target_port.relative_id, target_port.name)
        self.tasks: dict[int, Task] = {}
        """Unfinished tasks by tag, oldest first."""
        self.leases = Leases(str(self), residents=self.tasks.values)
        self.itls: dict[int, ITLNexus] = {}
        """Those that were made, by the 8-byte LUN field as a number, in the canonical addressing method of the LUN."""
        self.lun_map = target.map_for(initiator_port.name)
        self.closed = False
        self.logged_out = False
        """Whether its initiator has ended it itself, as its transport says before it closes it; else it may come back."""
        self._opened = moment()
        self._news = News()
        self.commands_for = commands_for
        self._absent = absent
        self._reported = reported
        self._census = Census() if census is None else census

    def __str__(self) -> str:
        return f"nexus {self.initiator_port.name} -> {self.target_port.name}"

    # ---- commands ---------------------------------------------------------------------------------------------------

    def submit(self, task: "Task") -> None:
        """Accept a task.  It ends exactly once, perhaps before this returns; ``task.done`` tells.

        The transport has checked that ``task.tag`` is not in use by an unfinished task of this nexus.
        """
        tasks = self.tasks
        assert task.tag not in tasks, f"{task}: the tag is in use"
        if len(tasks) >= TASKS_PER_NEXUS_MAX:
            self.turn_away(task)
            return
        self.accept(task)
        try:
            itl = self.itls.get(task.lun) or self.find(task.lun)
        except Crowded:
            task.finish(Status.BUSY, b"")
            return
        if itl is None:
            self._absent(task)
            return
        try:
            itl.submit(task)
        except Draining:
            self._absent(task)

    def turn_away(self, task: "Task") -> None:
        """End a task with TASK SET FULL instead of accepting it: its transport has no memory for it now (SAM-5 5.3.1)."""
        self.accept(task)
        task.finish(Status.TASK_SET_FULL, b"")

    def accept(self, task: "Task") -> None:
        """Count a task in: from now on it has a lease on the nexus.

        :raises Draining: the nexus is going away.
        """
        leases = self.leases
        if leases.draining:
            raise leases.refusal(task)
        task.since_s = monotonic()
        self.tasks[task.tag] = task

    def task_ended(self, task: "Task") -> None:
        """Let a task go; called by :meth:`Task.finish` only."""
        del self.tasks[task.tag]
        itl = task.itl
        if itl is not None:
            if task.enabled:
                itl.task_set.ended(task)
            elif task.dormant:
                itl.task_set.withdraw(task)
            itl.commands_ended += 1
            if task.status:
                itl.errors += 1
            if task.data_in is not None:
                itl.bytes_in += len(task.data_in)
            if task.wanted_out:
                itl.bytes_out += min(task.wanted_out, task.expected_out)

    def find(self, field: int) -> ITLNexus | None:
        """The I_T_L nexus of an 8-byte LUN field, or None.

        The same LUN may be addressed by peripheral device or by flat space addressing (SAM-5 4.7.7).

        :raises Crowded: it would have to be made, and there are too many in the daemon.
        """
        itl = self.itls.get(field)
        if itl is not None:
            return itl
        try:
            lun = decode_lun(field.to_bytes(8, "big"))
        except ValueError:
            return None
        if _field(lun) not in self.itls and lun in self.lun_map:
            self._census.check_room()
        return self.itl(lun)

    # ---- its logical units ------------------------------------------------------------------------------------------

    def itl(self, lun: int) -> ITLNexus | None:
        """The I_T_L nexus of a LUN, or None; made now if there was none yet, however many there are."""
        field = _field(lun)
        itl = self.itls.get(field)
        if itl is None and not self.closed and lun in self.lun_map:
            itl = self.itls[field] = self._made(lun, self.lun_map[lun])
        return itl

    def _made(self, lun: int, lu: "LogicalUnit") -> ITLNexus:
        itl = ITLNexus(self, lun, lu, self.commands_for(lu))
        lu.attach(itl)
        self._census.count += 1
        itl.establish_attention(asc.POWER_ON_OR_RESET_OCCURRED)
        for _, code in sorted([*self._news.since(self._opened), *lu.news.since(self._opened)]):
            itl.establish_attention(code)
        return itl

    def statistics(self, lun: int) -> dict[str, int]:
        """Figures of a LUN since the nexus was opened; see :meth:`ITLNexus.statistics`."""
        itl = self.itls.get(_field(lun))
        return UNUSED if itl is None else itl.statistics()

    def luns(self) -> Mapping[int, "LogicalUnit"]:
        """What this nexus has mapped, in order of LUN."""
        return {} if self.closed else self.lun_map.luns()

    def reported_luns(self, asked: int) -> list[bytes]:
        """The LUN fields that REPORT LUNS names.

        :param asked: the LUN field that the command is for.
        """
        return self._reported(self.target, self.luns(), asked)

    def has(self, lu: "LogicalUnit") -> bool:
        """Whether it has a logical unit mapped, under whatever LUN."""
        return not self.closed and self.lun_map in lu.maps

    def mapped(self, lu: "LogicalUnit") -> None:
        """There is one more logical unit.

        The nexus is told REPORTED LUNS DATA HAS CHANGED through every logical unit, also the new one, which may be all there is and
        have taken the place of another.
        """
        self.commands_for(lu)  # what may fail at that fails now
        self.attention(asc.REPORTED_LUNS_DATA_HAS_CHANGED)

    def withdraw(self, lun: int) -> "list[Task]":
        """Forget what the LUN map no longer shows; the initiator is told REPORTED LUNS DATA HAS CHANGED.

        :returns: the unfinished tasks; when the last of them has ended, the logical unit forgets this nexus.
        """
        itl = self.itls.pop(_field(lun), None)
        self.attention(asc.REPORTED_LUNS_DATA_HAS_CHANGED)
        if itl is None:
            return []
        tasks = itl.tasks()
        when_all_ended(tasks, lambda: self._forgotten(itl))
        return tasks

    def _forgotten(self, itl: ITLNexus) -> None:
        itl.lu.detach(itl)
        self._census.count -= 1

    def attention(self, code: tuple[int, int]) -> None:
        """Establish a unit attention condition for every logical unit of this nexus."""
        self._news.tell(code)
        for itl in self.itls.values():
            itl.establish_attention(code)

    def clear_attention(self, code: tuple[int, int]) -> None:
        """Remove a condition from every logical unit of this nexus: another command has made it known."""
        self._news.recall(code)
        for itl in self.itls.values():
            itl.clear_attention(code)

    def abort_tasks(self, then: Callable[[], None]) -> None:
        """Abort every unfinished task in silence; ``then`` when the last has ended."""
        abort_all(self.tasks.values(), in_silence, then)

    def manage(self, request: TmfRequest, answer: Answer) -> None:
        """Perform a task management function; ``answer`` is called once, perhaps before this returns."""
        perform(self, request, answer)

    # ---- its end ----------------------------------------------------------------------------------------------------

    def close(self, then: Callable[[], None]) -> None:
        """I_T nexus loss: no new tasks, the unfinished ones are aborted in silence; ``then`` when the last has ended.

        Idempotent: a second call only adds its ``then``.
        """
        self.leases.shut()
        self.abort_tasks(lambda: self._gone(then))

    def _gone(self, then: Callable[[], None]) -> None:
        if not self.closed:
            self.closed = True
            for itl in self.itls.values():
                self._forgotten(itl)
            self.itls.clear()
            self.target.nexus_closed(self)
        then()


def _field(lun: int) -> int:
    return int.from_bytes(encode_lun(lun), "big")
