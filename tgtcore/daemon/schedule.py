"""Snapshots that a logical unit's configuration asks for: made time and again, and the oldest of them deleted."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from tgtcore.config import SnapshotKeys
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.snapshot_names import SCHEDULED, is_scheduled, name_by_time
from tgtcore.daemon.snapshots import create_snapshot, delete_snapshot, list_snapshots, usual_timeout_s
from tgtcore.errors import TgtError
from tgtcore.store import SnapshotInfo

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_NUMBERS = re.compile(r"\d+(?:\.\d+)?")
"""What differs between two messages that say the same."""


def follow(inventory: Inventory, unit: Unit) -> None:
    """Let snapshots of a logical unit be made as its configuration says from now on, if it says so at all."""
    if unit.schedule is not None:
        unit.schedule.end()
    keys = unit.config.snapshots
    unit.schedule = None if keys is None else Schedule(unit, keys, lambda: usual_timeout_s(inventory))


class Schedule:
    """Makes a snapshot whenever the newest one that was made so is old enough, until :meth:`end`.

    What fails is logged and tried again when the next one is due; it harms nobody else.  Others' snapshots are let alone.

    :param timeout_s: how long one may take; asked each time.
    """

    def __init__(self, unit: Unit, keys: SnapshotKeys, timeout_s: Callable[[], float]) -> None:
        self._unit = unit
        self._keys = keys
        self._timeout_s = timeout_s
        self._complaint = ""
        self._task = asyncio.ensure_future(self._run())

    def end(self) -> None:
        """Make no more; one that is being made becomes whole."""
        self._task.cancel()

    async def _run(self) -> None:
        clock, every_s = asyncio.get_running_loop().time, self._keys.every_s
        due = clock() + await self._try(self._first_wait_s(), every_s)
        while True:
            await asyncio.sleep(due - clock())
            await self._try(self._once(), None)
            due += every_s * (1 + max(clock() - due, 0.0) // every_s)

    async def _first_wait_s(self) -> float:
        """How long until the next one is due: a daemon that is restarted often must not put it off each time."""
        newest = max((one.created_ns for one in _scheduled(await self._listed())), default=0)
        age_s = (time.time_ns() - newest) / 1e9
        return min(max(self._keys.every_s - age_s, 0.0), self._keys.every_s)

    async def _once(self) -> None:
        done = await create_snapshot(self._unit, _name, self._timeout_s())
        _log.debug("%s: snapshot %s", self._unit.lu, done.snapshot.name)
        for old in _scheduled(await self._listed())[: -self._keys.keep]:
            await delete_snapshot(
                self._unit, old.id, max(self._timeout_s(), self._keys.every_s)
            )  # commands go on meanwhile

    async def _listed(self) -> list[SnapshotInfo]:
        return await list_snapshots(self._unit, self._timeout_s())

    async def _try(self, work: Coroutine[Any, Any, _T], otherwise: _T) -> _T:
        """Do something; say so when it fails in another way than before, and when it is well again."""
        lu = self._unit.lu
        try:
            result = await work
        except Exception as error:
            complaint = _NUMBERS.sub("", f"{type(error).__name__}: {error}")
            if complaint != self._complaint:
                unexpected = None if isinstance(error, TgtError) else error
                _log.warning("%s: a scheduled snapshot has failed: %s", lu, error, exc_info=unexpected)
            self._complaint = complaint
            return otherwise
        if self._complaint:
            _log.info("%s: scheduled snapshots are made again", lu)
        self._complaint = ""
        return result


def _scheduled(snapshots: Iterable[SnapshotInfo]) -> list[SnapshotInfo]:
    return [one for one in snapshots if is_scheduled(one)]


def _name(taken: Iterable[SnapshotInfo]) -> str:
    return name_by_time(taken, time.time_ns(), SCHEDULED)
