"""The logical unit: checks that come before every command, dispatch, and the end of tasks."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tgtcore import signals
from tgtcore.aborting import abort_all, told_others
from tgtcore.command_filter import CommandFilter
from tgtcore.device import CommandTable, DeviceType
from tgtcore.errors import ConfigError
from tgtcore.leases import Job, Leases
from tgtcore.logical_unit.faults import answer
from tgtcore.logical_unit.filters import Filters, Request
from tgtcore.logical_unit.identity import Identity
from tgtcore.logical_unit.pause import Pause
from tgtcore.logical_unit.saved_state import SavedState
from tgtcore.loop import Done
from tgtcore.news import News
from tgtcore.reservations import Reservations
from tgtcore.scsi import asc
from tgtcore.store import OpenStore
from tgtcore.task import State, Task

if TYPE_CHECKING:
    from tgtcore.nexus import ITLNexus, Nexus
    from tgtcore.target import LunMap

_log = logging.getLogger(__name__)

VpdPages = Callable[[str], Mapping[int, bytes]]


class LogicalUnit:
    """One logical unit; it may be mapped under several LUNs, in several targets, and is the same one everywhere.

    :param identity: its names.
    :param device_type: the class of its device.
    :param store: an opened store, or None.
    :param options: the device type's options.
    :param saved_state: where reservations are kept over power loss; None: they can't be.
    :raises ConfigError: options and store do not fit.
    :raises OSError: what was saved can't be read.
    :raises ValueError: what was saved is damaged.

    The way of a command through it is that of its :class:`~tgtcore.nexus.ITLNexus`, which knows what a command needs.  There may be
    thousands of logical units, so it has slots.
    """

    __slots__ = (
        "__weakref__",
        "changing",
        "commands",
        "descriptor_sense",
        "device",
        "extra_vpd_pages",
        "filters",
        "former",
        "identity",
        "itls",
        "leases",
        "maps",
        "name",
        "news",
        "online",
        "pause",
        "reservations",
        "saved_state",
        "store",
        "task_aborted_status",
    )

    def __init__(
        self,
        identity: Identity,
        device_type: type[DeviceType],
        store: OpenStore | None,
        options: BaseModel,
        *,
        saved_state: SavedState | None = None,
    ) -> None:
        self.identity = identity
        self.name = identity.name
        self.store = store
        self.saved_state = saved_state
        self.reservations = Reservations(self._bar)
        self.itls: dict[ITLNexus, None] = {}
        """Everyone who has used this logical unit and has it mapped, or has lost it and still has tasks here."""
        self.news = News()
        self.maps: dict[LunMap, int] = {}
        """The LUN maps that it is in, with its LUN there; kept by :class:`~tgtcore.target.LunMap`."""
        self.descriptor_sense = False
        """D_SENSE of the control mode page."""
        self.task_aborted_status = True
        """TAS of the control mode page: tell nexuses whose tasks another nexus aborted."""
        self.online = True
        """False: every media access is answered NOT READY; change it by :meth:`set_online`."""
        self.extra_vpd_pages: VpdPages = _no_vpd_pages
        """Further VPD pages for a transport, by its registered name."""
        self.changing = asyncio.Lock()
        """Held by whoever changes the store or the device: a resize, a pause."""
        self.pause: Pause | None = None
        """Set while nothing may start."""
        self.filters: Filters | None = None
        """The filters on its commands, if there are any; change them by :meth:`set_filters`."""
        self.leases = Leases(str(self), residents=self.tasks, door=self._bar)
        self.former = Account()
        """Of the nexuses that have used it and do so no longer."""
        if saved_state is not None:
            try:
                self.reservations.restore(saved_state.load())
            except ValueError as error:
                raise ValueError(f"{saved_state}: {error}") from None
        self.device = device_type(self, store, options)
        self.commands: CommandTable = self.device.bind_commands()
        if store is not None:
            store.leases.take(self)

    def __str__(self) -> str:
        return f"logical unit {self.name}"

    def tasks(self) -> list[Task]:
        """All tasks that have not ended, oldest first.

        Nobody lists them but their nexuses: with thousands of logical units each memory access per command counts.
        """
        every = [task for itl in self.itls if len(itl.task_set) for task in itl.tasks()]
        return every if len(self.itls) == 1 else sorted(every, key=attrgetter("since_s"))

    @property
    def accepted(self) -> int:
        """Tasks ever accepted."""
        return self.former.accepted + sum(itl.commands_ended + len(itl.task_set) for itl in self.itls)

    @property
    def ended(self) -> int:
        """Tasks ever ended; ``accepted == ended + len(tasks())`` always, see :attr:`missing`."""
        return self.former.ended + sum(itl.commands_ended for itl in self.itls)

    @property
    def missing(self) -> int:
        """How many accepted tasks have neither ended nor are unfinished: always 0, or there is a defect."""
        return self.accepted - self.ended - len(self.tasks())

    # ---- work of its commands -------------------------------------------------------------------------------------

    def offload(self, task: Task, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Run ``function(*args)`` on a worker and end the task with its outcome."""

        def done(result: Any, error: BaseException | None) -> None:
            if error is not None:
                self.fail(task, error)
            else:
                task.complete(result)

        self.run(function, args, done)

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        """Call ``function(*args)`` where it may block, then ``done`` on the loop's thread; without a store, here and now."""
        if self.store is not None:
            self.store.run(function, args, done)
            return
        try:
            result, failure = function(*args), None
        except Exception as error:
            result, failure = None, error
        done(result, failure)

    def fail(self, task: Task, error: BaseException) -> None:
        """End a task with what an error means to its initiator."""
        task.data_in = None
        task.finish(*answer(task, error, descriptor_sense=self.descriptor_sense))

    # ---- who uses it ------------------------------------------------------------------------------------------------

    def attach(self, itl: "ITLNexus") -> None:
        """A nexus uses this logical unit from now on."""
        self.itls[itl] = None
        if self.pause is not None:
            self.pause.hold(itl)

    def detach(self, itl: "ITLNexus") -> None:
        """A nexus has lost it, and its last task here has ended; what lasts as long as a nexus ends, such as a reservation.

        A nexus that was given it again meanwhile, under whatever LUN, keeps what it has.
        """
        del self.itls[itl]
        self.former.accepted += itl.commands_ended + len(itl.task_set)
        self.former.ended += itl.commands_ended
        if not itl.nexus.has(self):
            self.nexus_lost(itl)

    def nexuses(self) -> "Iterator[Nexus]":
        """Everyone who has this logical unit mapped."""
        for lun_map in self.maps:
            yield from lun_map.nexuses

    def nexus_lost(self, itl: "ITLNexus") -> None:
        """An I_T nexus loss (SAM-5 6.3.4): what lasts as long as a nexus ends."""
        self.reservations.nexus_lost(itl.identity)
        if self.filters is not None:
            self.filters.nexus_lost(itl.nexus)
        self._tell_device("nexus_lost", itl.nexus)

    def _tell_device(self, event: str, *news: Any) -> None:
        """Tell the device what has happened, after a pause if there is one.

        What it raises then is logged, since nothing can be called off any more.
        """
        if self.pause is not None:
            self.pause.tell_later(partial(self._tell_device, event, *news))
            return
        try:
            getattr(self.device, event)(*news)
        except Exception:
            _log.exception("%s: %s() of its device type failed", self, event)

    def attention(self, code: tuple[int, int], *, besides: "ITLNexus | None" = None) -> None:
        """Establish a unit attention condition for every I_T nexus, except ``besides``."""
        self.news.tell(code)
        for itl in self.itls:
            if itl is not besides:
                itl.establish_attention(code)

    def abort_tasks(self, chosen: "Callable[[Task], bool]", by: "ITLNexus", then: Callable[[], None]) -> None:
        """Abort some of the tasks, as :func:`~tgtcore.aborting.abort_all` does.

        :param by: the nexus that caused it; initiators of other nexuses are told if TAS is one.
        """
        tasks = [task for task in self.tasks() if chosen(task)]
        abort_all(tasks, told_others(by.nexus, self), then)

    @property
    def barred(self) -> bool:
        """Whether something may be in the way of every command: a shut door, a reservation, or a filter that watches."""
        return self.leases.draining or self.reservations.active or (self.filters is not None and self.filters.watching)

    def _bar(self, _: bool = True) -> None:
        """The door has moved, or the reservations or filters have changed."""
        barred = self.barred
        for itl in self.itls:
            itl.barred = barred

    def set_filters(self, filters: Sequence[CommandFilter], request: Request, loop: asyncio.AbstractEventLoop) -> None:
        """Have these filters on its commands from now on, in the order in which commands meet them.

        Those that were there already keep what they hold; what the others hold goes on without them.

        :param request: does what filters request.
        :param loop: runs their timers.
        """
        if self.filters is None:
            if not filters:
                return
            self.filters = Filters(self, request, loop)
        self.filters.replace(filters)
        if not filters:
            self.filters = None
        self._bar()
        for itl in self.itls:
            itl.commands = itl.nexus.commands_for(self)

    def filtered(self, table: CommandTable) -> CommandTable:
        """An opcode table of this logical unit as nexuses have to see it: leading through its filters, if there are any."""
        return table if self.filters is None else self.filters.wrap(table)

    def set_online(self, online: bool) -> None:
        """Take the logical unit offline (every access to the medium is answered NOT READY) or back online."""
        self.online = online
        self._tell_device("online_changed")

    async def resize(self, size_bytes: int) -> None:
        """Change the size of the store, and tell every initiator CAPACITY DATA HAS CHANGED.

        :raises ConfigError: the device can't have that size.
        :raises StoreError: the store can't have it; an ``OSError`` means the same.
        """
        if self.store is None:
            raise ConfigError(f"{self} has no store that could be resized")
        self.device.check_size(size_bytes)
        await asyncio.shield(asyncio.ensure_future(self._resize(size_bytes)))

    async def _resize(self, size_bytes: int) -> None:
        """One resize at a time and each to its end, whether or not somebody still waits for it."""
        async with self.changing:
            store = self.store
            assert store is not None
            old_bytes = store.size_bytes
            with store.leases.lease(Job(f"resize of {self} to {size_bytes} bytes")):
                try:
                    if size_bytes < old_bytes:
                        self._tell_device("capacity_shrinking", size_bytes)
                        await self._running_tasks_ended()
                    await store.call(store.resize, size_bytes)
                finally:
                    self._resized(old_bytes)

    async def _running_tasks_ended(self) -> None:
        """Wait for the tasks that may be busy in the store now; those that come later know better."""
        for task in [task for task in self.tasks() if task.state is State.RUNNING]:
            if task.state is State.RUNNING:
                ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                task.when_ended(partial(ended.set_result, None))
                await ended

    def _resized(self, old_bytes: int) -> None:
        assert self.store is not None
        self._tell_device("capacity_changed")
        if self.store.size_bytes != old_bytes:
            self.attention(asc.CAPACITY_DATA_HAS_CHANGED)
            signals.emit(signals.lu_resized, self, old_bytes=old_bytes, new_bytes=self.store.size_bytes)

    def reverted(self, old_bytes: int) -> None:
        """Tell the device and every initiator that the store holds what it held at an earlier time.

        :param old_bytes: size of the store before.
        """
        self.attention(asc.MEDIUM_MAY_HAVE_CHANGED)
        self._resized(old_bytes)

    def reset(self, code: tuple[int, int] = asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED) -> None:
        """What a logical unit reset does besides aborting tasks (SAM-5 6.3.3).

        :param code: additional sense code of the unit attention condition that tells every initiator what happened.
        """
        self.reservations.reset()
        self._tell_device("reset")
        self.attention(code)

    def power_cycled(self) -> None:
        """What a loss of power does besides ending tasks (SAM-5 6.3.1): a reset, and of persistent reservations only what was to
        outlive it is left.
        """
        self.reservations.power_lost()
        self.reset(asc.POWER_ON_OCCURRED)

    def close(self) -> None:
        """Let go of the store; the logical unit must be drained before."""
        assert not self.tasks(), f"{self} is closed while it has tasks"
        self._tell_device("close")
        if self.store is not None:
            self.store.claims.release(str(self))
            self.store.leases.give(self)


@dataclass(slots=True)
class Account:
    """How many tasks were accepted, and how many of them have ended."""

    accepted: int = 0
    ended: int = 0


def _no_vpd_pages(transport: str) -> Mapping[int, bytes]:
    return {}
