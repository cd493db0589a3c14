"""Snapshots of live logical units: made and gone back to at one point in the stream of their commands, and deleted beside it.

For that point the logical unit is paused: what was acknowledged before is in a snapshot, what starts afterwards is not.  Most of
what has to be flushed is flushed before the pause, so that it is short.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tgtcore.daemon.flushing import flush
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.lasting import to_the_end
from tgtcore.daemon.noticing import check_notices, tell_above
from tgtcore.daemon.stores import Stack, explained
from tgtcore.errors import DrainTimeout, InUse, NotThere, ReadOnly, StoreError, TgtError, Unsupported
from tgtcore.leases import Job
from tgtcore.logical_unit import Pause
from tgtcore.store import OpenStore, SnapshotInfo, Store

_STORE_S = 5.0
"""What a store may take where nobody says, besides the commands that run."""

_FLUSHES_BEFORE = 2
"""So that little is left to do while the logical unit is paused: the last one has only what came during the one before."""


class Done(NamedTuple):
    """What was done to a snapshot, and how long its logical unit was paused for it."""

    snapshot: SnapshotInfo
    paused_s: float


def usual_timeout_s(inventory: Inventory) -> float:
    """How long making a snapshot, or another thing of this kind, may take where nobody says."""
    return inventory.drain_s + _STORE_S


def keeper_of(unit: Unit) -> Store:
    """The uppermost store of a logical unit that keeps snapshots.

    :raises Unsupported: none does.
    """
    return _keeper(str(unit.lu), unit.stack)


def _keeper(what: str, stack: Stack | None) -> Store:
    keeper = stack.keeper if stack is not None else None
    if keeper is None:
        raise Unsupported(f"{what} has no store that keeps snapshots")
    return keeper


def check_keeps(what: str, stack: Stack | None, store: OpenStore | None) -> None:
    """Refuse stores of which no snapshots can be made.

    :param what: whose stores they are, for messages.
    :raises Unsupported: none keeps any.
    :raises ReadOnly: they take no writes.
    """
    _keeper(what, stack)
    if store is not None and not store.writable:
        raise ReadOnly(f"{what} is read-only")


def check_changeable(unit: Unit) -> None:
    """As :func:`check_keeps`, for a logical unit."""
    check_keeps(str(unit.lu), unit.stack, unit.store)


async def list_snapshots(unit: Unit, timeout_s: float) -> list[SnapshotInfo]:
    """The snapshots of a logical unit, the oldest first; it is not paused for that.

    :raises DrainTimeout: it takes longer than ``timeout_s``.
    :raises StoreError: the store can't, or keeps none.
    :raises Draining: the logical unit is going away.
    """
    keeper_of(unit)
    return await to_the_end(_list(unit), f"the listing of snapshots of {unit.lu}", unit.lu, timeout_s)


async def _list(unit: Unit) -> list[SnapshotInfo]:
    async with _unchanged(unit, "a listing of its snapshots"):
        return await _listed(unit)


@asynccontextmanager
async def _unchanged(unit: Unit, what: str) -> AsyncIterator[None]:
    """Nothing else is done to the store meanwhile but what commands do."""
    with unit.lu.leases.lease(Job(what)):
        async with unit.lu.changing:
            yield


async def _listed(unit: Unit) -> list[SnapshotInfo]:
    return list(await _call(unit, "a listing of the snapshots", _as_tuple(keeper_of(unit).list_snapshots)))


async def create_snapshot(unit: Unit, name: Callable[[Iterable[SnapshotInfo]], str], timeout_s: float) -> Done:
    """Keep the content of a logical unit as it is at one point in the stream of its commands.

    :param name: makes the name, given the snapshots that there are.
    :param timeout_s: how long all of it may take.
    :raises DrainTimeout: commands or the store take longer; if it is more than commands, it goes on by itself.
    :raises StoreError: the store can't, or won't.
    :raises Draining: the logical unit is going away.
    """
    check_changeable(unit)

    async def create() -> SnapshotInfo:
        wanted = name(await _listed(unit))
        made: SnapshotInfo = await _call(unit, f"the snapshot {wanted}", keeper_of(unit).create_snapshot, wanted)
        return made

    return await _paused(unit, "a snapshot", create, timeout_s)


async def delete_snapshot(unit: Unit, id_or_name: str, timeout_s: float) -> SnapshotInfo:
    """Forget a snapshot; the logical unit is not paused for that.

    :raises NotThere: there is no such snapshot; otherwise as :func:`create_snapshot`.
    """
    check_changeable(unit)

    async def delete() -> SnapshotInfo:
        async with _unchanged(unit, "the deletion of a snapshot"):
            snapshot = found(unit, id_or_name, await _listed(unit))
            await _call(unit, f"the deletion of snapshot {snapshot.name}", keeper_of(unit).delete_snapshot, snapshot.id)
            return snapshot

    what = f"the deletion of a snapshot of {unit.lu}"
    return await to_the_end(delete(), what, unit.lu, timeout_s, beside_commands=True)


async def revert_snapshot(unit: Unit, id_or_name: str, timeout_s: float, *, force: bool = False) -> Done:
    """Make the content of a logical unit what it was when a snapshot was made; initiators are told.

    :param force: also while initiators have it.
    :raises NotThere: there is no such snapshot.
    :raises InUse: initiators have it, and nobody says ``force``.
    :raises ConfigError: the device can't have the size that the snapshot has.
    :raises StoreError: something stands on the store that would not notice; otherwise as :func:`create_snapshot`.
    """
    check_changeable(unit)
    _check_notices(unit)
    found(unit, id_or_name, await list_snapshots(unit, timeout_s))

    async def revert() -> SnapshotInfo:
        if not force:
            _check_free(unit)
        _check_notices(unit)
        snapshot = found(unit, id_or_name, await _listed(unit))
        with explained(str(unit.lu)):
            unit.lu.device.check_size(snapshot.size_bytes)
        assert unit.store is not None
        old_bytes = unit.store.size_bytes
        try:
            await _call(unit, f"going back to snapshot {snapshot.name}", _revert, unit, snapshot.id)
        finally:  # after a failure nobody knows
            unit.lu.reverted(old_bytes)
        return snapshot

    if not force:
        _check_free(unit)
    done = await _paused(unit, "going back to a snapshot", revert, timeout_s)
    with contextlib.suppress(TgtError):  # it is done, whatever becomes of this
        await to_the_end(flush(unit), f"giving back space of {unit.lu}", unit.lu, timeout_s, beside_commands=True)
    return done


def _revert(unit: Unit, snapshot_id: str) -> None:
    keeper = keeper_of(unit)
    try:
        keeper.revert_snapshot(snapshot_id)
    finally:  # after a failure nobody knows
        assert unit.stack is not None
        tell_above(unit.stack, keeper)


def _check_notices(unit: Unit) -> None:
    check_notices(unit, keeper_of(unit), f"{unit.lu} can't go back to a snapshot")


def found(unit: Unit, id_or_name: str, snapshots: Iterable[SnapshotInfo]) -> SnapshotInfo:
    """A snapshot by its id, else by its name.

    :raises NotThere: there is none.
    :raises StoreError: several have the name.
    """
    every = list(snapshots)
    fitting = [one for one in every if one.id == id_or_name] or [one for one in every if one.name == id_or_name]
    if not fitting:
        raise NotThere(f'{unit.lu} has no snapshot "{id_or_name}"; see: tgtadm snapshot list {unit.lu.name}')
    if len(fitting) > 1:
        ids = ", ".join(one.id for one in fitting)
        raise StoreError(f'{unit.lu} has {len(fitting)} snapshots called "{id_or_name}"; expected an id: {ids}')
    return fitting[0]


def _check_free(unit: Unit) -> None:
    nexuses = list(unit.lu.nexuses())
    if nexuses:
        names = ", ".join(str(nexus) for nexus in nexuses)
        raise InUse(
            f"{unit.lu} can't go back to a snapshot while initiators have it: {names}; let them log out, or use --force"
        )


# ---- the pause ------------------------------------------------------------------------------------------------------


async def _paused(unit: Unit, what: str, act: Callable[[], Awaitable[SnapshotInfo]], timeout_s: float) -> Done:
    """Do something while nothing else is done to the store, and everything that was acknowledged is on it."""
    why = f"{what} of {unit.lu}"
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout_s
    try:
        async with asyncio.timeout_at(ends_at):
            for _ in range(_FLUSHES_BEFORE):
                await flush(unit)
    except TimeoutError:
        raise DrainTimeout(f"{why} has not begun after {timeout_s:g} s: its store takes long to flush") from None
    pause = Pause(unit.lu, why)
    await pause.begin(max(ends_at - loop.time(), 0.0))
    return await to_the_end(_act(unit, pause, act), why, unit.lu, max(ends_at - loop.time(), 0.0))


async def _act(unit: Unit, pause: Pause, act: Callable[[], Awaitable[SnapshotInfo]]) -> Done:
    try:
        if unit.stack is not None and unit.stack.top is not keeper_of(unit):
            await flush(unit)  # the keeper itself makes durable what it keeps
        snapshot = await act()
    finally:
        pause.end()
    return Done(snapshot, pause.lasted_s)


async def _call(unit: Unit, what: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call a store of the logical unit on a worker; it is in use meanwhile."""
    store: OpenStore | None = unit.store
    assert store is not None
    with explained(str(unit.lu)), store.leases.lease(Job(f"{what} of {unit.lu}")):
        return await store.call(function, *args)


def _as_tuple(function: Callable[[], Iterable[SnapshotInfo]]) -> Callable[[], tuple[SnapshotInfo, ...]]:
    return lambda: tuple(function())  # a generator would block later
