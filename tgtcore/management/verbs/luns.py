"""Verbs on LUNs: which logical unit is found where."""

from typing import Any

from tgtcore.daemon import Daemon, lun_thing
from tgtcore.errors import ConfigError
from tgtcore.limits import LUNS_PER_TARGET_MAX
from tgtcore.loop import in_turns
from tgtcore.management.edits import lun_table
from tgtcore.management.edits import remove_lun as remove_lun_from
from tgtcore.management.verbs.leaving import IfExists, Leaving, removal
from tgtcore.management.verbs.table import STEPS, argument, steps_shown, verb
from tgtcore.management.verbs.targets import target_called
from tgtcore.management.verbs.units import unit_called
from tgtcore.options import Options


class SomeTarget(Options):
    """Arguments of ``lun list``."""

    target: str | None = argument("only the LUNs of this target", None)


class Lun(Options):
    """Arguments that name a LUN."""

    target: str = argument("the target")
    lun: int = argument("the LUN", ge=0, lt=LUNS_PER_TARGET_MAX)
    map: int = argument("0 for the LUNs of everybody, n for the n-th private map", 0, ge=0)


class OldLun(Lun, Leaving, IfExists):
    """Arguments of ``lun remove``."""


class NewLun(Lun):
    """Arguments of ``lun add``."""

    unit: str = argument("the logical unit")


@verb("lun list", "List the LUNs.", SomeTarget, ("target", "lun", "unit", "size_bytes", "initiators", "state"))
async def list_luns(daemon: Daemon, wanted: SomeTarget) -> list[dict[str, Any]]:
    """One row for each LUN of each map."""
    every = daemon.inventory.targets
    targets = list(every.values()) if wanted.target is None else [target_called(daemon, wanted.target)]
    return await in_turns(
        {
            "target": target.name,
            "lun": lun,
            "unit": lu.name,
            "size_bytes": lu.store.size_bytes if lu.store else None,
            "map": index,
            "initiators": list(lun_map.initiators),
            "state": daemon.state_of(lun_thing(target.name, index, lun)) or "online",
        }
        for target in targets
        for index, lun_map in enumerate(list(target.maps()))
        for lun, lu in lun_map.mapped().items()
    )


@verb("lun add", "Map a logical unit into a target; initiators are told.", NewLun, STEPS)
async def add_lun(daemon: Daemon, new: NewLun) -> list[dict[str, str]]:
    """Map a logical unit."""
    target_called(daemon, new.target)
    unit_called(daemon, new.unit)

    def edit(document: dict[str, Any]) -> None:
        luns = lun_table(document, new.target, new.map)
        if str(new.lun) in luns:
            raise ConfigError(f'target {new.target}: LUN {new.lun} is "{luns[str(new.lun)]}" already')
        luns[str(new.lun)] = new.unit

    return steps_shown(await daemon.edit(edit))


@removal("lun remove", "Take a LUN away; initiators are told.", OldLun)
async def remove_lun(daemon: Daemon, old: OldLun) -> list[dict[str, str]]:
    """Unmap a logical unit; it stays, mapped elsewhere or nowhere."""
    target_called(daemon, old.target)
    steps = await daemon.remove(
        lun_thing(old.target, old.map, old.lun),
        lambda document: remove_lun_from(document, old.target, old.map, old.lun),
        old.deadline_s,
    )
    return steps_shown(steps)
