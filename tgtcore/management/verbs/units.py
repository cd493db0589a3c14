"""Verbs on logical units."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tgtcore.daemon import Daemon, Kind, Thing
from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.layers import layers_of_unit
from tgtcore.loop import in_turns
from tgtcore.management.edits import assign, lun_table, new_entry, remove_entry
from tgtcore.management.filter_rows import filter_row, is_shown
from tgtcore.management.protocol import Code, VerbError
from tgtcore.management.verbs.leaving import IfExists, Leaving, removal
from tgtcore.management.verbs.table import STEPS, argument, missing, steps_shown, verb
from tgtcore.options import Options
from tgtcore.sizes import Size
from tgtcore.target import LunMap, Target


class NewUnit(Options):
    """Arguments of ``lu add``."""

    name: str = argument("what to call it")
    keys: tuple[str, ...] = argument(
        "configuration keys, such as store.type=file store.path=disk.img", (), positional=True
    )
    device_type: str = argument("its device type", "disk")
    cwd: str = argument("the folder that relative paths count from", "/")


class UnitName(Options):
    """Arguments that name a logical unit."""

    name: str = argument("the logical unit")


class OldUnit(UnitName, Leaving, IfExists):
    """Arguments of ``lu remove``."""

    unmap: bool = argument("take it out of every target first", False)


class NewSize(UnitName):
    """Arguments of ``lu resize``."""

    size: Size = argument("how large it shall be, such as 20G")


@verb("lu list", "List the logical units.", columns=("name", "device_type", "size_bytes", "state", "store", "luns"))
async def list_units(daemon: Daemon, _: Options) -> list[dict[str, Any]]:
    """One row for each logical unit."""
    maps = daemon.inventory.maps()
    return await in_turns(_row(daemon, unit, maps) for unit in list(daemon.inventory.units.values()))


@verb("lu show", "Show everything about a logical unit.", UnitName)
async def show_unit(daemon: Daemon, wanted: UnitName) -> dict[str, Any]:
    """The row of one logical unit, with its identity, its sessions and its figures."""
    unit = unit_called(daemon, wanted.name)
    identity = unit.lu.identity
    return {
        **_row(daemon, unit, daemon.inventory.maps()),
        "unique_id": identity.unique_id.hex(),
        "serial": identity.serial,
        "vendor": identity.vendor,
        "product": identity.product,
        "revision": identity.revision,
        "options": unit.config.options.model_dump(mode="json"),
        "snapshots": None if unit.config.snapshots is None else unit.config.snapshots.model_dump(mode="json"),
        "device": unit.lu.device.statistics(),
        "filters": [
            {**filter_row(unit, layer), "figures": layer.object.figures()}
            for layer in layers_of_unit(unit)
            if is_shown(layer)
        ],
        "nexuses": [
            {"initiator": nexus.initiator_port.name, "lun": lun, **nexus.statistics(lun)}
            for lun_map, lun in unit.lu.maps.items()
            for nexus in lun_map.nexuses
        ],
    }


@verb("lu add", "Make a logical unit; its keys are those of the configuration.", NewUnit, STEPS)
async def add_unit(daemon: Daemon, new: NewUnit) -> list[dict[str, str]]:
    """Make a logical unit, mapped nowhere yet."""
    values = {"device_type": new.device_type, **assign(new.keys)}
    steps = await daemon.edit(lambda document: new_entry(document, "logical_units", new.name, values), Path(new.cwd))
    return steps_shown(steps)


@removal("lu remove", "Remove a logical unit and close its store.", OldUnit)
async def remove_unit(daemon: Daemon, old: OldUnit) -> list[dict[str, str]]:
    """Remove a logical unit that is mapped nowhere, or take it out of every target first."""
    unit_called(daemon, old.name)

    def edit(document: dict[str, Any]) -> None:
        places = [
            (name, index, lun)
            for name, target in daemon.config.targets.items()
            for index, lun_map in enumerate(target.maps())
            for lun, unit in lun_map.luns.items()
            if unit == old.name
        ]
        if places and not old.unmap:
            where = ", ".join(f"LUN {lun} of {target}" for target, _, lun in places)
            raise VerbError(Code.BUSY, f'logical unit "{old.name}" is {where}; remove that first, or use --unmap')
        for target, index, lun in places:
            lun_table(document, target, index).pop(str(lun), None)
        remove_entry(document, "logical_units", old.name)

    return steps_shown(await daemon.remove(Thing(Kind.LOGICAL_UNIT, old.name), edit, old.deadline_s))


@verb("lu resize", "Change the size of a logical unit; initiators are told.", NewSize)
async def resize_unit(daemon: Daemon, new: NewSize) -> dict[str, Any]:
    """Change the size of the store beneath a logical unit."""
    unit_called(daemon, new.name)
    return {"name": new.name, "size_bytes": await daemon.resize(new.name, new.size)}


@verb("lu offline", "Answer every access to the medium NOT READY, until lu online or a restart.", UnitName)
async def take_offline(daemon: Daemon, wanted: UnitName) -> dict[str, Any]:
    """Take a logical unit offline; initiators stay logged in."""
    return _set_online(daemon, wanted.name, False)


@verb("lu online", "Let initiators reach the medium again.", UnitName)
async def take_online(daemon: Daemon, wanted: UnitName) -> dict[str, Any]:
    """Bring a logical unit back online."""
    return _set_online(daemon, wanted.name, True)


def unit_called(daemon: Daemon, name: str) -> Unit:
    """A logical unit by name.

    :raises VerbError: there is none.
    """
    unit = daemon.inventory.units.get(name)
    if unit is None:
        raise missing("logical unit", name, daemon.inventory.units)
    return unit


def _set_online(daemon: Daemon, name: str, online: bool) -> dict[str, Any]:
    unit = unit_called(daemon, name)
    unit.lu.set_online(online)
    return {"name": name, "state": _state(daemon, unit)}


def _state(daemon: Daemon, unit: Unit) -> str:
    return daemon.state_of(Thing(Kind.LOGICAL_UNIT, unit.config.name)) or ("online" if unit.lu.online else "offline")


def _row(daemon: Daemon, unit: Unit, maps: Mapping[LunMap, Target]) -> dict[str, Any]:
    """A row; a target that came after ``maps`` was made is not in it yet."""
    return {
        "name": unit.config.name,
        "device_type": unit.config.device_type,
        "size_bytes": unit.store.size_bytes if unit.store else None,
        "state": _state(daemon, unit),
        "read_only": unit.config.read_only,
        "store": str(unit.config.store) if unit.config.store else None,
        "luns": [f"{maps[lun_map].name}/{lun}" for lun_map, lun in unit.lu.maps.items() if lun_map in maps],
        "tasks": len(unit.lu.leases),
    }
