"""Verbs on the filters of logical units, and on what else offers actions there."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from tgtcore.config import parse
from tgtcore.daemon import Daemon
from tgtcore.daemon.acting import act, usual_timeout_s, wish
from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.layers import layer_called, layers_of_unit
from tgtcore.loop import in_turns
from tgtcore.management.edits import add_filter, assign, change_filter, remove_filter
from tgtcore.management.filter_rows import filter_row, is_shown
from tgtcore.management.plans import play, rehearse
from tgtcore.management.protocol import Code, VerbError
from tgtcore.management.verbs.leaving import IfExists, removal
from tgtcore.management.verbs.table import STEPS, argument, steps_shown, verb
from tgtcore.management.verbs.units import unit_called
from tgtcore.options import Options


class SomeFilters(Options):
    """Arguments of ``filter list``."""

    unit: str = argument("only those of this logical unit", "", positional=True)


class FilterName(Options):
    """Arguments that name a filter."""

    unit: str = argument("the logical unit")
    name: str = argument("the filter, as filter list shows it")


class NewFilter(Options):
    """Arguments of ``filter add``."""

    unit: str = argument("the logical unit")
    type: str = argument("the filter's type, such as delay")
    keys: tuple[str, ...] = argument("configuration keys of the filter, such as seconds=0.5", (), positional=True)
    name: str | None = argument("what to call it; its type by default", None)
    before: str | None = argument(
        "the filter that commands or storage calls shall meet right after it; by default it is the last", None
    )
    cwd: str = argument("the folder that relative paths count from", "/")


class OldFilter(FilterName, IfExists):
    """Arguments of ``filter remove``."""


class ChangedFilter(FilterName):
    """Arguments of ``filter change``."""

    keys: tuple[str, ...] = argument("configuration keys of the filter, such as seconds=0.5", (), positional=True)
    unset: tuple[str, ...] = argument("a key that goes back to its default", ())
    cwd: str = argument("the folder that relative paths count from", "/")


class Asked(FilterName):
    """Arguments of ``filter do``."""

    action: str = argument("what to do, as filter show lists it")
    keys: tuple[str, ...] = argument("arguments of the action, such as seed=3", (), positional=True)
    deadline: float | None = argument(
        "how many seconds it may take; by default daemon.drain_s for commands that run, and 5 for itself",
        None,
        ge=0,
        le=3600,
    )
    cwd: str = argument("the folder that relative paths count from", "/")


class GivenPlan(Options):
    """Arguments of ``filter play``."""

    text: str = argument("the plan, as TOML")
    name: str = argument("the file's name, for messages", "")
    folder: str = argument("the folder that relative paths count from", "/")
    dry_run: bool = argument("only check it, and show its steps", False)
    keep: bool = argument("let the filters that it has added stay when it ends, as keep = true in it", False)


@verb(
    "filter list",
    "List the filters of all logical units, or of one, the outermost first.",
    SomeFilters,
    ("unit", "name", "type", "sees", "key", "held"),
)
async def list_filters(daemon: Daemon, wanted: SomeFilters) -> list[dict[str, Any]]:
    """One row for each filter, and for each format or store that offers actions."""
    every = daemon.inventory.units
    units = [unit_called(daemon, wanted.unit)] if wanted.unit else list(every.values())
    rows = await in_turns(
        [filter_row(unit, layer) for layer in layers_of_unit(unit) if is_shown(layer)] for unit in units
    )
    return [row for of_unit in rows for row in of_unit]


@verb(
    "filter show", "Show everything about a filter: its keys, its figures, and the actions that it offers.", FilterName
)
async def show_filter(daemon: Daemon, wanted: FilterName) -> dict[str, Any]:
    """The row of one filter with its details."""
    unit = unit_called(daemon, wanted.unit)
    layer = layer_called(unit, wanted.name)
    return {
        **filter_row(unit, layer),
        "options": layer.options.model_dump(mode="json"),
        "figures": layer.object.figures(),
        "actions": {
            name: {"help": one.help, "arguments": one.arguments.model_json_schema().get("properties", {})}
            for name, one in layer.object.actions.items()
        },
    }


@verb("filter add", "Give a logical unit one more filter while it is in use.", NewFilter, STEPS)
async def add(daemon: Daemon, new: NewFilter) -> list[dict[str, str]]:
    """Change the configuration in force; the other filters stay as they are."""
    unit_called(daemon, new.unit)
    table = {"type": new.type, **({} if new.name is None else {"name": new.name}), **_keys(new.keys)}
    steps = await daemon.edit(lambda document: add_filter(document, new.unit, table, new.before), Path(new.cwd))
    return steps_shown(steps)


@removal(
    "filter remove", "Take a filter away: what it holds goes on, what it has not written yet is written.", OldFilter
)
async def remove(daemon: Daemon, old: OldFilter) -> list[dict[str, str]]:
    """Change the configuration in force."""
    unit = unit_called(daemon, old.unit)
    _check_can_go(unit, old.name)
    return steps_shown(await daemon.edit(lambda document: remove_filter(document, old.unit, old.name)))


@verb("filter change", "Make a filter anew with other keys; those that are not named stay.", ChangedFilter, STEPS)
async def change(daemon: Daemon, changed: ChangedFilter) -> list[dict[str, str]]:
    """Change the configuration in force."""
    unit = unit_called(daemon, changed.unit)
    _check_can_go(unit, changed.name)
    values = _keys(changed.keys)
    steps = await daemon.edit(
        lambda document: change_filter(document, changed.unit, changed.name, values, changed.unset), Path(changed.cwd)
    )
    return steps_shown(steps)


@verb(
    "filter play",
    "Play a plan: filters that come, change, act and go at set times, and are gone at the end.",
    GivenPlan,
    ("at_s", "unit", "what", "outcome"),
)
async def play_plan(daemon: Daemon, given: GivenPlan) -> list[dict[str, Any]]:
    """Check all of it, then play it; it ends too when its client goes away."""
    source = await asyncio.to_thread(parse, given.text.encode(), Path(given.folder), given.name)
    plan = await asyncio.to_thread(rehearse, source, daemon.config, daemon.plugins.registry)
    if given.dry_run:
        return [{"at_s": step.at_s, "unit": step.unit, "what": step.what, "outcome": None} for step in plan.steps]
    return await play(daemon, replace(plan, keep=plan.keep or given.keep))


@verb("filter do", "Let a filter do something that it offers.", Asked)
async def do(daemon: Daemon, asked: Asked) -> dict[str, Any]:
    """What it has returned, and how long the logical unit stood still for it."""
    unit = unit_called(daemon, asked.unit)
    wished = wish(unit, asked.name, asked.action, assign(asked.keys), Path(asked.cwd))
    timeout_s = usual_timeout_s(daemon.inventory) if asked.deadline is None else asked.deadline
    done = await act(daemon.inventory, wished, timeout_s)
    return {
        "unit": asked.unit,
        "filter": asked.name,
        "action": asked.action,
        "result": done.result,
        "paused_ms": round(done.paused_s * 1000, 1),
    }


def _keys(assignments: tuple[str, ...]) -> dict[str, Any]:
    """The filter's own keys.

    :raises VerbError: one of them is the core's.
    """
    keys = assign(assignments)
    for key in ("type", "name"):
        if key in keys:
            raise VerbError(Code.CONFIG, f"{key}: can't be set like this; remove the filter and add another one")
    return keys


def _check_can_go(unit: Unit, name: str) -> None:
    """Refuse a filter that stays as long as the logical unit.

    :raises VerbError: it is one of its key ``store``.
    :raises NotThere: it is not there.
    """
    if not layer_called(unit, name).can_go:
        raise VerbError(
            Code.CONFIG,
            f'{name} is part of the key "store" of {unit.lu}, which stays as it is; only those of "filters" change',
        )
