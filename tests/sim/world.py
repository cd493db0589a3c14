"""One run: daemons one after the other, initiators and operations; and what must be true at rest and at the end."""

import asyncio
import contextlib
import logging
import random
import re
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sim.commands import Commands
from sim.configuration import first_document
from sim.environment import Environment
from sim.initiator import Initiator
from sim.judge import Judge
from sim.loop import Halted, SimLoop, Stalled
from sim.medium import BLOCK_BYTES
from sim.operations import BY_NAME, Control, Operation
from sim.plugin import sim_plugins

from tgtcore import Nexus, TgtError
from tgtcore.config import Source
from tgtcore.daemon import Daemon
from tgtcore.daemon.load import check_source
from tgtcore.daemon.swap import LostStore

_INITIATORS = 4
_REST_S = 400.0
"""Everything ends within this time after the last operation, whatever hangs."""
_LOOK_S = 0.25
_AGE = re.compile(r" \(\d+\.\d s\)")
_CONTROL_S = 600.0
"""A change ends within this time: those before it, and all that it removes, are waited for in a bounded time."""


class World:
    """A run.

    :param seed: of everything.
    :param operations: what happens.
    :param folder: an empty one, for the daemon's state directory.
    """

    def __init__(self, seed: int, operations: Iterable[Operation], folder: Path) -> None:
        self.environment = Environment(seed)
        self.judge = self.environment.judge = Judge(self.environment)
        self.initiators = [
            Initiator(f"iqn.2025-01.example:host{number}", self.environment) for number in range(_INITIATORS)
        ]
        self.commands = Commands(self._next_stamp)
        self.folder = folder
        self.daemon: Daemon
        self.rests = False
        self._operations = iter(list(operations))
        self._plugins = sim_plugins()
        self._document: dict[str, Any] = first_document(random.Random(seed), folder / "state")
        self._identities: dict[str, bytes] = {}
        self._controls: dict[asyncio.Task[Any], str] = {}
        self._stamp = 0
        self._ends_with_kill = self.environment.chance.random() < 0.5
        self._killed = self._stopping = self._over = False

    def _next_stamp(self) -> int:
        self._stamp += 1
        return self._stamp

    # ---- the whole ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """From the first start to the last stop; what is wrong is in the environment's failures."""
        while not self._over and not self.environment.failures:
            self._killed = self._stopping = False
            loop = self.environment.new_loop()
            asyncio.set_event_loop(loop)
            loop.set_exception_handler(self._not_caught)
            try:
                loop.run_until_complete(self._life())
            except Halted:
                if self._killed:
                    self._crash()
            except Stalled as error:
                self.environment.fail(f"{error}: {self._unfinished()}")
            except Exception:
                self.environment.fail(traceback.format_exc())
            finally:
                _discard(loop, self.environment)
                asyncio.set_event_loop(None)
            self.environment.transport = None
            self.judge.daemon_gone()
            for initiator in self.initiators:
                initiator.crashed()
            self._controls.clear()

    def _not_caught(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.environment.fail(f"{context['message']}: {context.get('exception')!r}")

    def logged(self, record: logging.LogRecord) -> None:
        """An error was logged: it needs a reason."""
        if not self._killed and not self.environment.faults.injected:
            self.environment.fail(f"logged: {record.getMessage()}")

    def _crash(self) -> None:
        self._document = dict(self.daemon.config.document) or self._document
        for medium in self.environment.media.values():
            medium.crash(self.environment.chance)

    async def _life(self) -> None:
        """Of one daemon."""
        await self._start()
        self._check_start()
        for initiator in self.initiators:
            initiator.log_in(self.environment.chance.choice(list(self._document["targets"]) or [""]))
        await self._operate()
        if not self._stopping:
            await self._rest()
            if self._ends_with_kill:
                self._ends_with_kill = False
                self.kill()
                await asyncio.sleep(0)
            self._over = True
        self._document = dict(self.daemon.config.document)
        await self._stop()

    async def _start(self) -> None:
        """Start a daemon: all of it or nothing.  After a start that fails the process ends, and another one begins."""
        config = check_source(Source(self._document, self.folder), self._plugins)
        self.daemon = Daemon(self._plugins, config)
        self.judge.leaves = self._leaves
        try:
            await self.daemon.start()
        except TgtError as error:
            self.environment.trace("not started:", str(error))
            faults = self.environment.faults
            if not faults.injected or (self._lose_what_is_open() and not faults.character.job_hangs):
                self.environment.fail(f"the start failed, or left a store open: {error}")
            self.kill()
            await asyncio.sleep(0)

    def _leaves(self, nexus: Nexus) -> bool:
        users = (holder.name for departure in self.daemon.departures for holder in departure.users())
        return str(nexus) in users

    async def _operate(self) -> None:
        for operation in self._operations:
            await asyncio.sleep(operation.after_s)
            self.environment.trace("-", operation)
            BY_NAME[operation.name](self, random.Random(operation.seed))
            if self._stopping:
                return
            if self.rests:
                self.rests = False
                await self._rest()

    # ---- what operations do -------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """Leave everything as it is; the next daemon finds what is durable."""
        self._killed = True
        assert self.environment.loop is not None
        self.environment.loop.halted = True

    def stop(self) -> None:
        """Stop the daemon; another one starts."""
        self._stopping = True

    def control(self, what: str, change: Control) -> None:
        """A change from outside, that may be refused."""

        async def controlled() -> None:
            begin_s = self.environment.time()
            try:
                await change
                outcome = "done"
            except TgtError as error:
                outcome = f"{type(error).__name__}: {error}"
            except asyncio.CancelledError:
                outcome = "given up"
                if not self._stopping and not self._over:
                    self.environment.fail(f"{what} was given up")
            said = _AGE.sub("", outcome.partition("\n")[0])  # ages go by the real clock
            self.environment.trace("=", what, "is", said)
            if self.environment.time() - begin_s > _CONTROL_S:
                self.environment.fail(f"{what} took {self.environment.time() - begin_s} s")

        task = asyncio.ensure_future(controlled())
        self._controls[task] = what
        task.add_done_callback(self._control_done)

    def _control_done(self, task: "asyncio.Task[None]") -> None:
        what = self._controls.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.environment.fail(f"{what} raised {error!r}")

    # ---- rest and end -------------------------------------------------------------------------------------------------

    async def _rest(self) -> None:
        """Let everything end, and look whether anything is left."""
        self.environment.trace("rest")
        self.environment.faults.on = False
        deadline_s = self.environment.time() + _REST_S
        while self._unfinished():
            if self.environment.time() > deadline_s:
                self.environment.fail(f"has not ended {_REST_S:g} s after the last operation: {self._unfinished()}")
            for initiator in self.initiators:
                initiator.finish()
            await asyncio.sleep(_LOOK_S)
        self._check_rest()
        self.environment.faults.on = True

    def _unfinished(self) -> list[str]:
        waits = [one for initiator in self.initiators for one in initiator.waits_for()]
        departures = self.daemon._departures
        return [
            *map(str, self.judge.alive),
            *self._controls.values(),
            *waits,
            *(["removals"] if len(departures) else []),
            *(str(holder) for unit in self.daemon.inventory.units.values() for holder in unit.jobs()),
        ]

    def _check_start(self) -> None:
        """Everything is as it was, as far as it was durable."""
        for name, unit in self.daemon.inventory.units.items():
            self.judge.book(unit.lu)
            if self._identities.setdefault(name, unit.lu.identity.unique_id) != unit.lu.identity.unique_id:
                self.environment.fail(f"{unit.lu} has another identity than before")
        self._check_media()

    def _check_media(self) -> None:
        for name, medium in self.environment.media.items():
            for block in range(medium.size_bytes // BLOCK_BYTES):
                stamp = medium.content[block * BLOCK_BYTES :][:8]
                if (value := int.from_bytes(stamp, "big")) not in (allowed := medium.contents.possible(block)):
                    self.environment.fail(f"block {block} of medium {name} holds {value:x}, expected one of {allowed}")

    def _check_rest(self) -> None:
        self.judge.check_ledger()
        self._check_media()
        inventory, config = self.daemon.inventory, self.daemon.config
        for what, holder in inventory.holders():
            if not holder.name.startswith("nexus"):
                self.environment.fail(f"at rest {what} is in use by {holder.name}")
        served = {
            name: [{lun: lu.name for lun, lu in lun_map.luns().items()} for lun_map in one.maps()]
            for name, one in inventory.targets.items()
        }
        wanted = {name: [dict(lun_map.luns) for lun_map in one.maps()] for name, one in config.targets.items()}
        if served != wanted or {name: unit.config for name, unit in inventory.units.items()} != config.logical_units:
            self.environment.fail(f"{served} with {list(inventory.units)} is served, expected {wanted}")
        for unit in inventory.units.values():
            device: Any = unit.lu.device
            if len(device.ranges):
                self.environment.fail(f"{unit.lu}: ranges are held at rest")
            filters = config.logical_units[unit.lu.name].filters
            lost = unit.stack is not None and isinstance(unit.stack.top, LostStore)  # and the filters on it with it
            if not lost and tuple(part.config for part in unit.filters) != filters:
                self.environment.fail(f"{unit.lu} has {unit.filters}, expected {filters}")
            if any(one.held for one in (unit.lu.filters.present if unit.lu.filters is not None else ())):
                self.environment.fail(f"{unit.lu}: a filter holds commands at rest")

    async def _stop(self) -> None:
        """Stop the daemon, at rest or in the middle of everything."""
        hangs = self.environment.faults.character.job_hangs
        left = await self.daemon.stop()
        self.environment.trace("stopped", *left)
        faulty = self.environment.faults.injected
        if left and not faulty:
            self.environment.fail(f"the daemon has stopped and left {left}")
        if left or hangs:
            self._lose_what_is_open()
            return
        await asyncio.sleep(_LOOK_S)
        inventory = self.daemon.inventory
        if inventory.units or inventory.targets or inventory.transports or self._controls or self.judge.alive:
            self.environment.fail(f"the daemon has stopped and left {inventory.holders()}, {self._unfinished()}")
        flushed = not self.environment.faults.character.call_fails  # else closing may have failed, also long before
        for medium in self.environment.media.values():
            medium.contents.end_flush(medium.contents.begin_flush(), good=flushed)
            if medium.user is not None:
                self.environment.fail(f"the daemon has stopped and left medium {medium.name} open")

    def _lose_what_is_open(self) -> bool:
        """What hangs has media open until the process ends, which is now; whether there were any."""
        still_open = [medium for medium in self.environment.media.values() if medium.user is not None]
        for medium in still_open:
            medium.crash(self.environment.chance)
        return bool(still_open)


def _discard(loop: SimLoop, environment: Environment) -> None:
    """Leave a loop with whatever was under way in it."""
    loop.halted = True
    loop.set_exception_handler(lambda loop, context: None)
    environment.discarding = True
    chance = environment.chance.getstate()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of those that had not begun
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine: Any = task.get_coro()
            with contextlib.suppress(Exception):  # it would await something at its end, or find what it needs gone
                coroutine.close()
    loop.close()
    environment.discarding = False
    environment.chance.setstate(chance)
