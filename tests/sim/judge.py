"""The judge: sees what reaches the target and how the target ends it, and knows what may be."""

import weakref
from collections.abc import Callable
from typing import Any

from sim.books import Book
from sim.effects import Outcome, Reserves
from sim.environment import Environment
from sim.registrations import Registrations
from sim.task import SimTask

from tgtcore import Attribute, ITLNexus, LogicalUnit, Nexus, TaskState, Tmf, TmfRequest, TmfResponse
from tgtcore.scsi import asc
from tgtcore.scsi.persistent import OutAction
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status

Answer = Callable[[TmfResponse], None]

_NOTHING_HAPPENED = (Status.RESERVATION_CONFLICT, Status.TASK_SET_FULL, Status.BUSY)
_KEYS_OF_REFUSALS = (SenseKey.UNIT_ATTENTION, SenseKey.ILLEGAL_REQUEST, SenseKey.MISCOMPARE)
_HAPPENED_PERHAPS = (
    asc.LOGICAL_UNIT_NOT_READY_CAUSE_NOT_REPORTABLE,
    asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT,
)


class Judge:
    """Follows every command.

    :param environment: told of what is wrong.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.alive: dict[SimTask, None] = {}
        """Commands that the target has not ended, oldest first."""
        self.functions = 0
        """Task management functions that have no answer yet."""
        self.leaves: Callable[[Nexus], bool] = lambda nexus: False
        """Whether the daemon is ending the session of a nexus."""
        self._books: dict[str, Book] = {}
        self._left: dict[str, Registrations | None] = {}
        self.seen: list[weakref.ref[Any]] = []
        """Everything that must be gone at the end."""

    def fail(self, what: str) -> None:
        """Something is wrong."""
        self._environment.fail(what)

    def watch(self, thing: Any) -> None:
        """This must be gone at the end."""
        self.seen.append(weakref.ref(thing))

    # ---- the way of a command -----------------------------------------------------------------------------------------

    def book(self, lu: LogicalUnit) -> Book:
        """The accounts of a logical unit."""
        book = self._books.get(lu.name)
        if book is None or book.lu is not lu:
            left = self._left.pop(lu.name, Registrations()) if book is None else book.left()
            book = self._books[lu.name] = Book(lu, left)
            self.watch(lu)
            self._note(book.compare())
        return book

    def submit(self, task: SimTask) -> None:
        """Hand a command to the target."""
        self.watch(task)
        itl = task.nexus.find(task.lun)
        self.alive[task] = None
        book = None
        if itl is not None and not itl.lu.leases.draining:
            book = task.book = self.book(itl.lu)
            if touches := task.sent.command.touches:
                task.conflicts = book.refuses(task.nexus.identity, touches)
            book.accepted += 1
            task.sent.command.effect.begin(task, book)
        task.nexus.submit(task)

    def started(self, task: SimTask) -> None:
        """A command has begun: was it its turn?"""
        attribute = task.sent.attribute
        barrier = attribute is Attribute.ORDERED
        if attribute is Attribute.HEAD_OF_QUEUE:
            return
        for older in self.alive:
            if older is task:
                return
            if older.itl is task.itl and (barrier or older.sent.attribute > Attribute.SIMPLE):
                self.fail(f"{task}, {attribute.name}, has overtaken {older}, {older.sent.attribute.name}")
                return

    def ended(self, task: SimTask) -> None:
        """The target has ended a command."""
        task.ends += 1
        if task.ends > 1:
            self.fail(f"{task} was ended {task.ends} times")
            return
        if task.enabled and task.responds and task.status == Status.GOOD:
            self.started(task)
        del self.alive[task]
        book = task.book
        if book is not None:
            book.ended += 1
            book.silent = book.silent or not book.lu.task_aborted_status
            self._note(task.sent.command.effect.end(task, book, _outcome(task)))
            self._check_reservation(task)
        if not task.responds or task.status == Status.TASK_ABORTED:
            self._check_abort(task)
        elif task.own_abort:
            self.fail(f"{task} was answered, although its initiator had it aborted")

    def _note(self, wrong: str | None, task: SimTask | None = None) -> None:
        if wrong:
            self.fail(f"{task}: {wrong}" if task else wrong)

    def _check_reservation(self, task: SimTask) -> None:
        if task.conflicts is None or not task.responds:
            return
        refused = task.status == Status.RESERVATION_CONFLICT
        if refused and not task.conflicts:
            self.fail(f"{task} met a RESERVATION CONFLICT, although no reservation is in its way")
        elif task.conflicts and task.status == Status.GOOD:
            self.fail(f"{task} is GOOD, although a reservation is in its way")

    def _check_abort(self, task: SimTask) -> None:
        """Whoever ended a command that was not done must have had a reason, and the right to be silent."""
        nexus, itl = task.nexus, task.itl
        losing = nexus.leases.draining
        assert isinstance(nexus, Nexus)
        withdrawn = itl is None or task.itl not in nexus.itls.values() or itl.lu.leases.draining
        others = (
            task.others_abort or withdrawn or self.leaves(nexus) or (task.book is not None and _preempting(task.book))
        )
        if not (task.own_abort or losing or others):
            self.fail(f"{task} was aborted, although nobody asked for that")
        if not task.responds and not (task.own_abort or losing) and not _may_be_silent(task, itl):
            self.fail(f"{task} was aborted in silence by others, although TAS is one")

    def closing(self, nexus: Nexus) -> None:
        """A nexus is about to be lost: nothing that is under way is answered any more."""
        for task in self.alive:
            if task.nexus is nexus:
                task.own_abort = True

    # ---- task management ----------------------------------------------------------------------------------------------

    def manage(self, nexus: Nexus, request: TmfRequest, answer: Answer) -> Answer:
        """A function has come; returns what is to be called with its answer."""
        victims = [task for task in self.alive if _is_meant(request, nexus, task)]
        for task in victims:
            if task.nexus is nexus:
                task.own_abort = True
            else:
                task.others_abort = True
        self.functions += 1
        answered = False

        def check(response: TmfResponse) -> None:
            nonlocal answered
            if answered:
                self.fail(f"{request} was answered twice")
                return
            answered = True
            self.functions -= 1
            for task in victims:
                if task.state is not TaskState.ENDED:
                    self.fail(f"{request} was answered {response.name} before {task} had ended")
            answer(response)

        return check

    # ---- at rest ------------------------------------------------------------------------------------------------------

    def check_ledger(self) -> None:
        """Each logical unit has counted what was counted here, and its registrations are those of the model."""
        for book in self._books.values():
            self._note(book.check())
            self._note(book.compare())

    def daemon_gone(self) -> None:
        """The daemon has stopped or crashed: nothing is under way any more."""
        for name, book in self._books.items():
            self._left[name] = book.left()
        self._books.clear()
        self.alive.clear()
        self.functions = 0


def _outcome(task: SimTask) -> Outcome:
    if not task.responds or task.status == Status.TASK_ABORTED:
        return Outcome.PERHAPS
    if task.status == Status.GOOD:
        return Outcome.DONE
    if task.status in _NOTHING_HAPPENED:
        return Outcome.NOTHING_HAPPENED
    sense = parse_sense(bytes(task.sense))
    if sense.code in _HAPPENED_PERHAPS:
        return Outcome.PERHAPS
    if sense.key in _KEYS_OF_REFUSALS or sense.key in (SenseKey.NOT_READY, SenseKey.DATA_PROTECT):
        return Outcome.NOTHING_HAPPENED
    return Outcome.PERHAPS


def _preempting(book: Book) -> bool:
    return any(
        isinstance(effect := task.sent.command.effect, Reserves) and effect.change.action is OutAction.PREEMPT_AND_ABORT
        for task in book.changing
    )


def _may_be_silent(task: SimTask, itl: ITLNexus | None) -> bool:
    """With TAS one everyone is told whose commands others abort; one's own are aborted in silence."""
    if itl is None or itl.lu.leases.draining:
        return True
    book = task.book
    return book is not None and (book.silent or _preempting(book))


def _is_meant(request: TmfRequest, nexus: Nexus, task: SimTask) -> bool:
    """Whether a function ends a task."""
    function = request.function
    if function is Tmf.I_T_NEXUS_RESET:
        return task.nexus is nexus
    if function is Tmf.TARGET_RESET:
        # What is hidden while it is drained or removed stays mapped, but others can't reach it: only one's own commands end there.
        return task.itl is not None and (task.nexus is nexus or task.itl.lu in nexus.luns().values())
    itl = nexus.find(request.lun)
    if itl is None or task.itl is None:
        return False
    # To an initiator a function means the LUN: its own commands there, also those for what another unit has taken the place of.
    own = task.nexus is nexus and task.itl.lun == itl.lun
    if function is Tmf.LOGICAL_UNIT_RESET:
        return own or task.itl.lu is itl.lu
    if function in (Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET):
        return own
    return function is Tmf.ABORT_TASK and own and task.tag == request.tag
