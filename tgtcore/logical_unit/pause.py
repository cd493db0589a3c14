"""Pausing a logical unit, to give it another device or another store under the eyes of its initiators.

While a pause lasts nothing starts: tasks wait in their task sets, and those whose data-out arrives wait beside them.  So they can
be aborted as ever, and whoever waits for the logical unit to be free waits for the end of the pause too.  It costs a command
nothing while there is none: a held task set looks to new tasks as if an ORDERED task were in it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tgtcore import signals
from tgtcore.device import BoundCommand, DeviceType
from tgtcore.errors import DrainTimeout
from tgtcore.logical_unit.resuming import check_again, guarded, renew
from tgtcore.scsi import asc
from tgtcore.store import OpenStore
from tgtcore.task import PENDING, State, Task
from tgtcore.task_set import TaskSet

if TYPE_CHECKING:
    from tgtcore.logical_unit.unit import LogicalUnit
    from tgtcore.nexus import ITLNexus

_log = logging.getLogger(__name__)


class Pause:
    """One pause of one logical unit; it holds a lease on it, under the name of what it is for.

    :param why: what it is for, as messages name it: ``reload of plugin "file"``.
    """

    def __init__(self, lu: "LogicalUnit", why: str) -> None:
        self._lu = lu
        self._why = why
        self._held: list[TaskSet] = []
        self._waiting: dict[Task, BoundCommand] = {}
        """Tasks that waited for data-out when the pause began, with the commands that they will run."""
        self._news: list[Callable[[], None]] = []
        self._going_on: list[Callable[[], None]] = []
        self._refitted = False
        self._since = self._until = 0.0

    def __str__(self) -> str:
        return self._why

    async def begin(self, timeout_s: float) -> None:
        """Let nothing start any more, and wait until what runs has ended.

        :raises DrainTimeout: something runs for longer than ``timeout_s``; everything goes on as if nothing had been.
        :raises Draining: the logical unit is going away.
        """
        lu = self._lu
        try:
            async with asyncio.timeout(timeout_s):
                await lu.changing.acquire()
                try:
                    self._hold_all()
                except BaseException:
                    lu.changing.release()
                    raise
                try:
                    await self._quiet()
                except BaseException:
                    self.end()
                    raise
        except TimeoutError:
            busy = self._busy() or ["another change of its store"]
            raise DrainTimeout(f"{lu} was still busy after {timeout_s:g} s with: {', '.join(busy)}", busy) from None

    @property
    def lasted_s(self) -> float:
        """After its end: for how many seconds nothing could start."""
        return self._until - self._since

    def _hold_all(self) -> None:
        lu = self._lu
        lu.leases.take(self)
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        lu.pause = self
        for itl in lu.itls:
            self.hold(itl)
        for task in lu.tasks():
            if task.state is State.DATA:
                command = self._waiting[task] = task.command
                task.command = BoundCommand(command.command, _held, command.wants)

    def hold(self, itl: "ITLNexus") -> None:
        """Let nothing start that comes through a nexus, which may be a new one."""
        itl.task_set.hold()
        self._held.append(itl.task_set)

    async def _quiet(self) -> None:
        lu = self._lu
        while running := [task for task in lu.tasks() if task.state is State.RUNNING]:
            await lu.leases.released(running)
        while lu.store is not None and (jobs := [job for job in lu.store.leases.holders_of(object) if job is not lu]):
            await lu.store.leases.released(jobs)

    def _busy(self) -> list[str]:
        lu = self._lu
        running = lu.leases.holders(lambda holder: isinstance(holder, Task) and holder.state is State.RUNNING)
        jobs = lu.store.leases.holders(lambda holder: holder is not lu) if lu.store is not None else []
        return [str(holder) for holder in (*running, *jobs)]

    def tell_later(self, news: Callable[[], None]) -> None:
        """Tell the device something as soon as the pause ends, before anything starts."""
        self._news.append(news)

    def go_on_later(self, go_on: Callable[[], None]) -> None:
        """Let a task that a filter holds go on after the pause: it would have gone on now."""
        self._going_on.append(go_on)

    # ---- another device ---------------------------------------------------------------------------------------------

    def refit(self, device_type: type[DeviceType], store: OpenStore | None, options: BaseModel) -> None:
        """Give the logical unit another device with the same state, on another store; initiators are told what they see change.

        :param store: claimed by nobody else.
        :raises Exception: what the device type raises; nothing has changed then.
        """
        lu = self._lu
        device = device_type(lu, store, options)
        device.take_over(lu.device.hand_over())
        if not lu.online:
            device.online_changed()
        before = lu.device, lu.commands, lu.store
        lu.device, lu.commands = device, device.bind_commands()
        try:
            for nexus in lu.nexuses():
                nexus.commands_for(
                    lu
                )  # so that it can't fail when an initiator addresses the logical unit for the first time
            tables = [itl.nexus.commands_for(lu) for itl in lu.itls]
        except BaseException:
            lu.device, lu.commands, _ = before
            raise
        for itl, table in zip(lu.itls, tables, strict=True):
            itl.commands, itl.device = table, device
        self._refitted = True
        _closed(before[0])
        self._move(before[2], store)
        if type(before[0]) is not device_type:
            lu.attention(asc.MICROCODE_HAS_BEEN_CHANGED)

    def _move(self, old: OpenStore | None, new: OpenStore | None) -> None:
        """From one store to another."""
        lu = self._lu
        lu.store = new
        if old is None or new is None:
            return
        new.leases.take(lu)
        old.claims.release(str(lu))
        old.leases.give(lu)
        if old.shown_to_initiators() != new.shown_to_initiators():
            lu.attention(asc.INQUIRY_DATA_HAS_CHANGED)
        if old.size_bytes != new.size_bytes:
            lu.attention(asc.CAPACITY_DATA_HAS_CHANGED)
            signals.emit(signals.lu_resized, lu, old_bytes=old.size_bytes, new_bytes=new.size_bytes)

    # ---- its end ----------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Let everything go on, in order."""
        lu = self._lu
        lu.pause = None
        self._until = self._clock()
        for tell in self._news:
            tell()
        if self._refitted:
            for task in lu.tasks():
                if task.state is State.DORMANT:
                    guarded(task, renew, task)
        for task, command in self._waiting.items():
            if task.state is not State.ENDED:
                task.command = command
                guarded(task, self._go_on, task)
        for go_on in self._going_on:
            go_on()
        for task_set in self._held:
            task_set.release()
        lu.leases.give(self)
        lu.changing.release()

    def _go_on(self, task: Task) -> None:
        if self._refitted:
            renew(task)
            check_again(task)
        if task.state is State.HELD:
            task.run_again()


def _held(device: DeviceType, task: Task) -> Any:
    """The handler of a task whose data-out arrives during a pause."""
    task.state = State.HELD
    return PENDING


def _closed(device: DeviceType) -> None:
    try:
        device.close()
    except Exception:
        _log.exception("close() of a device type failed after a reload")
