"""Copying what a snapshot of a live logical unit holds into a file of its own, piece by piece, while commands go on."""

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

from tgtcore.daemon.audience import present_audience
from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.snapshots import found, keeper_of, list_snapshots
from tgtcore.daemon.stores import explained
from tgtcore.errors import StoreError, Unsupported
from tgtcore.leases import Job
from tgtcore.store import OpenStore, SnapshotInfo, Store

_PROGRESS_S = 1.0


class Copying:
    """A copy that is being made for somebody who waits for it.

    :param thing: what is copied, as users are told.
    """

    def __init__(self, thing: str, total_bytes: int) -> None:
        self.thing = thing
        self.total_bytes = total_bytes
        self.done_bytes = 0
        self._clock = asyncio.get_running_loop().time
        self._since = self._told = self._clock()
        self._audience = present_audience()

    @property
    def age_s(self) -> float:
        """For how long it is being made."""
        return self._clock() - self._since

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return not self._audience.gone()

    def advance(self, done_bytes: int) -> None:
        """It is done up to some byte; who waits is told of it now and then."""
        self.done_bytes = done_bytes
        if self._clock() - self._told >= _PROGRESS_S:
            self._told = self._clock()
            self._audience.tell(self)


async def clone_snapshot(unit: Unit, id_or_name: str, path: Path, timeout_s: float) -> SnapshotInfo:
    """Copy what a snapshot holds into a new file, which has its name only when it is complete and durable.

    It takes as long as it takes, and is given up when whoever waits for it has gone, or its logical unit or store goes.

    :param timeout_s: how long it may take to find the snapshot.
    :raises NotThere: there is no such snapshot.
    :raises Unsupported: the store keeps no snapshots, or can't copy them.
    :raises StoreError: the store can't; or it was given up.
    :raises Draining: the logical unit is going away.
    """
    keeper = keeper_of(unit)
    if type(keeper).clone_snapshot is Store.clone_snapshot:
        raise Unsupported(f"{unit.lu} has a store that keeps snapshots, but can't copy them")
    snapshot = found(unit, id_or_name, await list_snapshots(unit, timeout_s))
    copying = Copying(f"snapshot {snapshot.name} of {unit.lu}", snapshot.size_bytes)
    store: OpenStore | None = unit.store
    assert store is not None
    parts = keeper.clone_snapshot(snapshot.id, path)
    with unit.lu.leases.lease(Job(f"a copy of snapshot {snapshot.name}")):
        try:
            while (done := await _part(unit, keeper, parts, copying)) is not None:
                copying.advance(done)
        finally:
            await asyncio.shield(store.call(parts.close))
    return snapshot


async def _part(unit: Unit, keeper: Store, parts: Generator[int, None, None], copying: Copying) -> int | None:
    """Copy some of it, not while the logical unit is paused; None: it has ended."""
    lu = unit.lu
    while lu.pause is not None:
        await lu.leases.released([lu.pause])
    holder = Job(f"a copy of {copying.thing}")
    if lu.leases.draining:
        raise lu.leases.refusal(holder)
    if not copying.wanted:
        raise StoreError(f"the copy of {copying.thing} was given up: nobody waits for it any more")
    store: OpenStore | None = unit.store
    if store is None or unit.stack is None or keeper not in unit.stack.stores:
        raise StoreError(f"the copy of {copying.thing} was given up: another store has come in its place")
    with explained(str(lu)), store.leases.lease(holder):
        part: asyncio.Future[Any] = store.call(next, parts, None)
        try:
            done: int | None = await asyncio.shield(part)
        except asyncio.CancelledError:
            await asyncio.wait({part})
            raise
    return done
