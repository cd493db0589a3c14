"""Playing a plan: each step at its time, until the end, a failure, or nobody waits for it any more."""

import asyncio
import logging
from functools import partial
from typing import Any

from tgtcore.daemon import Daemon, Edit
from tgtcore.daemon.acting import act, usual_timeout_s, wish
from tgtcore.daemon.audience import present_audience
from tgtcore.errors import TgtError
from tgtcore.management.plans.added import Added
from tgtcore.management.plans.news import PlanNews
from tgtcore.management.plans.rehearsal import Plan, Step
from tgtcore.management.protocol import Code, VerbError, code_of

_log = logging.getLogger(__name__)

_LOOK_S = 0.5
"""How often to look whether somebody still waits."""

_SIGN_S = 20.0
"""How often to give a sign of life between steps, so that a client does not take the daemon for dead."""


async def play(daemon: Daemon, plan: Plan) -> list[dict[str, Any]]:
    """Play a checked plan; returns a row for each step, and for each filter that was removed again.

    :raises TgtError: a step has failed; what the plan has added is removed again all the same.
    """
    return await _Playing(daemon, plan).run()


class _Playing:
    def __init__(self, daemon: Daemon, plan: Plan) -> None:
        self.daemon = daemon
        self.plan = plan
        self.rows: list[dict[str, Any]] = []
        self._added = Added(daemon.inventory)
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self._audience = present_audience()

    async def run(self) -> list[dict[str, Any]]:
        _log.info("plan %s begins", self._name)
        try:
            for number, step in enumerate(self.plan.steps):
                await self._wait(number, step)
                await self._do(number, step)
        except BaseException as error:
            if self.daemon.stopping:
                raise self._stopped(error) from error
            ends = await self._clean_up()
            if isinstance(error, TgtError):
                raise VerbError(code_of(error), f"{error}{_said(ends)}") from error
            raise
        return [*self.rows, *await self._clean_up()]

    def _stopped(self, error: BaseException) -> BaseException:
        """What is raised when the daemon stops, or gives way to another one: nothing is removed, for all of it goes."""
        ended = f"plan {self._name} has ended with the daemon, after {len(self.rows)} of {len(self.plan.steps)} steps"
        _log.info("%s", ended)
        return VerbError(Code.INTERRUPTED, ended) if isinstance(error, Exception) else error

    @property
    def _name(self) -> str:
        return self.plan.source.name or "plan"

    async def _wait(self, number: int, step: Step) -> None:
        """Until it is time for a step.

        :raises VerbError: nobody waits for the end of the plan any more, or the daemon stops.
        """
        due = self._since + step.at_s
        sign = self._clock() + _SIGN_S
        while True:
            if self._audience.gone() or self.daemon.stopping:
                raise VerbError(Code.INTERRUPTED, f"plan {self._name} was interrupted before step {number + 1}")
            left_s = due - self._clock()
            if left_s <= 0:
                return
            if self._clock() >= sign:
                sign += _SIGN_S
                self._tell(number, next_in_s=left_s)
            await asyncio.sleep(min(left_s, _LOOK_S))

    async def _do(self, number: int, step: Step) -> None:
        try:
            outcome = await self._done(step)
        except TgtError as error:
            where = f"plan {self._name}, step {number + 1} at {step.at_s:g} s ({step.what})"
            raise VerbError(code_of(error), f"{where}: {error}") from error
        row = {"at_s": round(self._clock() - self._since, 3), "unit": step.unit, "what": step.what, "outcome": outcome}
        self.rows.append(row)
        _log.info("plan %s: %s: %s", self._name, step.unit, step.what)
        self._tell(number + 1, unit=step.unit, what=step.what, outcome=outcome)

    async def _done(self, step: Step) -> Any:
        if step.edit is not None:
            await self.daemon.edit(partial(self._edit, step.edit, step), self.plan.source.base)
            if step.goes:
                self._added.forget(step.unit, step.filter)
            elif step.comes or self._added.has(step.unit, step.filter):
                self._added.note(step.unit, step.filter)
        if step.asks is None:
            return None
        inventory = self.daemon.inventory
        unit = inventory.units.get(step.unit)
        if unit is None:
            raise VerbError(Code.NOT_FOUND, f"logical unit {step.unit} has gone meanwhile")
        self._added.check(step.unit, step.filter)
        return (await act(inventory, wish(unit, step.filter, *step.asks), usual_timeout_s(inventory))).result

    def _edit(self, edit: Edit, step: Step, document: dict[str, Any]) -> None:
        """A step's change, at a time when nobody else changes anything."""
        if not step.comes:
            self._added.check(step.unit, step.filter)
        edit(document)

    def _tell(self, done: int, **news: Any) -> None:
        at_s = self._clock() - self._since
        self._audience.tell(PlanNews(self._name, done, len(self.plan.steps), at_s, **news))

    # ---- the end ------------------------------------------------------------------------------------------------------

    async def _clean_up(self) -> list[dict[str, Any]]:
        """Remove what the plan has added and what is still there, whoever interrupts that; what became of each."""
        if self.plan.keep or not self._added:
            return []
        return await asyncio.shield(asyncio.ensure_future(self._removed()))

    async def _removed(self) -> list[dict[str, Any]]:
        ends: list[tuple[str, str]] = []
        try:
            await self.daemon.edit(lambda document: ends.extend(self._added.remove_from(document)))
        except TgtError as error:
            if self.daemon.stopping:
                raise self._stopped(error) from error
            _log.error("what plan %s has added could not be removed: %s", self._name, error)
            return []
        at_s = round(self._clock() - self._since, 3)
        _log.info("plan %s has ended%s", self._name, "".join(f"; {what} of {unit}" for unit, what in ends))
        return [{"at_s": at_s, "unit": unit, "what": what, "outcome": None} for unit, what in ends]


def _said(ends: list[dict[str, Any]]) -> str:
    return "".join(f"; {row['what']} of {row['unit']}" for row in ends)
