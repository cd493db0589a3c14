"""Verbs on snapshots of logical units."""

import time
from pathlib import Path
from typing import Any

from tgtcore.daemon import Daemon
from tgtcore.daemon.copying import clone_snapshot
from tgtcore.daemon.snapshot_names import name_by_time, time_text
from tgtcore.daemon.snapshots import (
    Done,
    create_snapshot,
    delete_snapshot,
    list_snapshots,
    revert_snapshot,
    usual_timeout_s,
)
from tgtcore.management.verbs.table import argument, verb
from tgtcore.management.verbs.units import unit_called
from tgtcore.options import Options
from tgtcore.store import SnapshotInfo

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"


class Keeper(Options):
    """Arguments that name a logical unit with snapshots."""

    unit: str = argument("the logical unit")
    deadline: float | None = argument(
        "how many seconds it may take; by default daemon.drain_s for commands that run, and 5 for the store",
        None,
        ge=0,
        le=3600,
    )


class NewSnapshot(Keeper):
    """Arguments of ``snapshot create``."""

    name: str = argument(
        "what to call it; by default the time (UTC)", "", positional=True, max_length=255, pattern=_PRINTABLE
    )


class OldSnapshot(Keeper):
    """Arguments that name a snapshot."""

    name: str = argument("its name, or its id")


class RevertedSnapshot(OldSnapshot):
    """Arguments of ``snapshot revert``."""

    force: bool = argument(
        "also while initiators have the logical unit, who may lose what they believe to be there", False
    )


class ClonedSnapshot(Options):
    """Arguments of ``snapshot clone``."""

    unit: str = argument("the logical unit")
    name: str = argument("its name, or its id")
    path: str = argument("the new file", min_length=1)
    cwd: str = argument("the folder that relative paths count from", "/")


@verb(
    "snapshot list",
    "List the snapshots of a logical unit.",
    Keeper,
    ("id", "name", "created", "size_bytes"),
)
async def list_all(daemon: Daemon, wanted: Keeper) -> list[dict[str, Any]]:
    """One row for each snapshot, the oldest first."""
    unit = unit_called(daemon, wanted.unit)
    return [_row(one) for one in await list_snapshots(unit, _timeout_s(daemon, wanted))]


@verb("snapshot create", "Keep a logical unit's content as it is now, while it is in use.", NewSnapshot)
async def create(daemon: Daemon, new: NewSnapshot) -> dict[str, Any]:
    """What was acknowledged before is in it, and nothing that came later."""
    unit = unit_called(daemon, new.unit)
    now_ns = time.time_ns()
    done = await create_snapshot(unit, lambda taken: new.name or name_by_time(taken, now_ns), _timeout_s(daemon, new))
    return _shown(new.unit, done)


@verb("snapshot delete", "Forget a snapshot; the content of the logical unit stays.", OldSnapshot)
async def delete(daemon: Daemon, old: OldSnapshot) -> dict[str, Any]:
    """Forget a snapshot, while its logical unit is in use."""
    unit = unit_called(daemon, old.unit)
    return {"unit": old.unit, **_row(await delete_snapshot(unit, old.name, _timeout_s(daemon, old)))}


@verb("snapshot revert", "Make a logical unit's content what it was; initiators are told.", RevertedSnapshot)
async def revert(daemon: Daemon, old: RevertedSnapshot) -> dict[str, Any]:
    """Go back to a snapshot, which stays."""
    unit = unit_called(daemon, old.unit)
    return _shown(old.unit, await revert_snapshot(unit, old.name, _timeout_s(daemon, old), force=old.force))


@verb(
    "snapshot clone",
    "Copy what a snapshot holds into a new file, while the logical unit is in use.",
    ClonedSnapshot,
    interruptible=True,
)
async def clone(daemon: Daemon, wanted: ClonedSnapshot) -> dict[str, Any]:
    """Copy a snapshot; the file has its name when all of it is there."""
    unit = unit_called(daemon, wanted.unit)
    path = Path(wanted.cwd) / wanted.path
    snapshot = await clone_snapshot(unit, wanted.name, path, usual_timeout_s(daemon.inventory))
    return {"unit": wanted.unit, **_row(snapshot), "path": str(path)}


def _timeout_s(daemon: Daemon, wanted: Keeper) -> float:
    return usual_timeout_s(daemon.inventory) if wanted.deadline is None else wanted.deadline


def _row(snapshot: SnapshotInfo) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "name": snapshot.name,
        "created": time_text(snapshot.created_ns),
        "created_ns": snapshot.created_ns,
        "size_bytes": snapshot.size_bytes,
    }


def _shown(unit: str, done: Done) -> dict[str, Any]:
    return {"unit": unit, **_row(done.snapshot), "paused_ms": round(done.paused_s * 1000, 1)}
