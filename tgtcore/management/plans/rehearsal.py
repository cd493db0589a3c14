"""Checking all of a plan before anything happens: it is gone through on a copy of what the configuration says of filters."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import BaseModel

from tgtcore.config import Config, FilterConfig, Source, StoreConfig
from tgtcore.config.filters import check_filter
from tgtcore.config.paths import absolute
from tgtcore.config.positions import Place
from tgtcore.config.problems import Problems
from tgtcore.daemon import Edit
from tgtcore.daemon.acting import find_action
from tgtcore.daemon.layers import names
from tgtcore.errors import TgtError
from tgtcore.limits import FILTERS_PER_LOGICAL_UNIT_MAX
from tgtcore.management.edits import add_filter, change_filter, filter_name, remove_filter
from tgtcore.management.plans.keys import ChangeKeys, DoKeys, PlanKeys, StepKeys
from tgtcore.registry import Registry


@dataclass(frozen=True)
class Step:
    """A checked step.

    :param what: it does, in words.
    :param edit: the change of the configuration that it is, if it is one.
    :param filter: the name of the filter that it is about, if it is about one.
    :param asks: the action and its arguments, if it asks for one.
    :param comes: whether the filter comes.
    :param goes: whether it goes.
    """

    at_s: float
    unit: str
    what: str
    edit: Edit | None = None
    filter: str = ""
    asks: tuple[str, dict[str, Any]] | None = None
    comes: bool = False
    goes: bool = False


@dataclass(frozen=True)
class Plan:
    """A checked plan.

    :param source: what it was read from; relative paths count from its folder.
    :param keep: whether the filters that it has added stay.
    """

    source: Source
    steps: tuple[Step, ...]
    keep: bool


def rehearse(source: Source, config: Config, registry: Registry) -> Plan:
    """Check a plan against what is served now.

    :raises ConfigError: with everything that is wrong with it.
    """
    problems = source.problems()
    keys: PlanKeys | None = problems.check((), PlanKeys, dict(source.document))
    steps = _Rehearsal(source, config, registry, problems).steps(keys) if keys is not None else []
    problems.raise_if_any()
    assert keys is not None
    return Plan(source, tuple(steps), keys.keep)


@dataclass
class _Scene:
    """The filters of a logical unit at some time of the plan."""

    name: str
    store: StoreConfig | None
    document: dict[str, Any]
    configs: dict[str, FilterConfig | None] = field(default_factory=dict)
    """By name; None: one that has problems."""

    @property
    def tables(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document["logical_units"][self.name].get("filters", [])
        return found


class _Rehearsal:
    def __init__(self, source: Source, config: Config, registry: Registry, problems: Problems) -> None:
        self._source = source
        self._config = config
        self._registry = registry
        self._problems = problems
        self._scenes: dict[str, _Scene] = {}
        self._deeds: dict[str, Callable[[Place, _Scene, StepKeys], Step | None]] = {
            "add": self._add,
            "remove": self._remove,
            "change": self._change,
            "do": self._do,
        }

    def steps(self, plan: PlanKeys) -> list[Step]:
        made: list[Step] = []
        before_s = 0.0
        for number, table in enumerate(plan.step):
            place: Place = ("step", number)
            keys: StepKeys | None = self._problems.check(place, StepKeys, table)
            if keys is None:
                continue
            if keys.at < before_s:
                self._problems.add(
                    (*place, "at"), f"{keys.at:g} s is before the step above, which is at {before_s:g} s"
                )
            before_s = max(before_s, keys.at)
            step = self._step(place, keys, keys.unit or plan.unit)
            if step is not None:
                made.append(step)
        return made

    def _step(self, place: Place, keys: StepKeys, unit: str | None) -> Step | None:
        deed = next((key for key in self._deeds if getattr(keys, key) is not None), None)
        if unit is None:
            if deed is None:
                return Step(keys.at, "", keys.note or "wait")
            self._problems.add(place, 'the key "unit" is missing, here or at the top of the plan')
            return None
        scene = self._scene((*place, "unit") if keys.unit else ("unit",), unit)
        if scene is None:
            return None
        if deed is None:
            return Step(keys.at, unit, keys.note or "wait")
        step = self._deeds[deed]((*place, deed), scene, keys)
        if step is not None and keys.note:
            return replace(step, what=f"{step.what}: {keys.note}")
        return step

    def _scene(self, place: Place, unit: str) -> _Scene | None:
        config = self._config.logical_units.get(unit)
        if config is None:
            self._problems.unknown(place, "logical unit", unit, self._config.logical_units)
            return None
        if unit not in self._scenes:
            tables = self._config.document["logical_units"][unit].get("filters", ())
            document = {"logical_units": {unit: {"filters": [dict(table) for table in tables]}}}
            self._scenes[unit] = _Scene(unit, config.store, document, {one.name: one for one in config.filters})
        return self._scenes[unit]

    def _edited(self, place: Place, scene: _Scene, edit: Edit) -> bool:
        try:
            edit(scene.document)
        except TgtError as error:
            self._problems.add(place, f"at that time, {error}")
            return False
        return True

    def _checked(self, place: Place, scene: _Scene, table: dict[str, Any]) -> FilterConfig | None:
        config, _ = check_filter(
            place, table, self._registry, self._problems, self._source.base, on_store=scene.store is not None
        )
        return config

    # ---- one kind of step each --------------------------------------------------------------------------------------

    def _add(self, place: Place, scene: _Scene, keys: StepKeys) -> Step | None:
        assert keys.add is not None
        config = self._checked(place, scene, keys.add)
        if not isinstance(keys.add.get("type"), str):
            return None
        name = filter_name(keys.add)
        if name in scene.configs:
            self._problems.add(place, f'{scene.name} has a filter called "{name}" already at that time of the plan')
            return None
        edit = partial(_add, scene.name, keys.add, keys.before)
        if not self._edited((*place[:-1], "before"), scene, edit):
            return None
        scene.configs[name] = config
        if len(scene.tables) > FILTERS_PER_LOGICAL_UNIT_MAX:
            self._problems.add(place, f"{scene.name} has more than {FILTERS_PER_LOGICAL_UNIT_MAX} filters at that time")
        return Step(keys.at, scene.name, f"add {config or name}", edit, name, comes=True)

    def _remove(self, place: Place, scene: _Scene, keys: StepKeys) -> Step | None:
        assert keys.remove is not None
        edit = partial(_remove, scene.name, keys.remove)
        if not self._edited(place, scene, edit):
            return None
        scene.configs.pop(keys.remove, None)
        return Step(keys.at, scene.name, f"remove {keys.remove}", edit, keys.remove, goes=True)

    def _change(self, place: Place, scene: _Scene, keys: StepKeys) -> Step | None:
        assert keys.change is not None
        own, values = self._parted(place, ChangeKeys, keys.change)
        if own is None:
            return None
        if "type" in values:
            self._problems.add((*place, "type"), "a filter keeps its type; remove it and add another one")
            return None
        edit = partial(_change, scene.name, own.name, values)
        if not self._edited((*place, "name"), scene, edit):
            return None
        table = next(table for table in scene.tables if filter_name(table) == own.name)
        scene.configs[own.name] = self._checked(place, scene, table)
        return Step(keys.at, scene.name, f"change {own.name}", edit, own.name)

    def _do(self, place: Place, scene: _Scene, keys: StepKeys) -> Step | None:
        assert keys.do is not None
        own, values = self._parted(place, DoKeys, keys.do)
        if own is None:
            return None
        there = dict(names([one for one in scene.configs.values() if one is not None], scene.store))
        if own.filter not in there:
            if own.filter not in scene.configs:  # else it is known what is wrong with it
                self._problems.unknown((*place, "filter"), "filter", own.filter, there)
            return None
        try:
            action = find_action(own.filter, self._class_of(there[own.filter].type), own.action)
        except TgtError as error:
            self._problems.add((*place, "action"), str(error))
            return None
        arguments = absolute(action.arguments, values, self._source.base)
        if self._problems.check(place, action.arguments, arguments) is None:
            return None
        what = f"{own.filter} does {own.action}"
        return Step(keys.at, scene.name, what, filter=own.filter, asks=(own.action, arguments))

    def _parted(self, place: Place, model: type[BaseModel], table: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The core's keys of a table, checked, and the others."""
        own = {key: value for key, value in table.items() if key in model.model_fields}
        return self._problems.check(place, model, own), {key: table[key] for key in table if key not in own}

    def _class_of(self, kind: str) -> type[Any]:
        offers = (*self._registry.media(), self._registry.command_filters)
        return next(found for one in offers if (found := one.get(kind)) is not None)


def _add(unit: str, table: dict[str, Any], before: str | None, document: dict[str, Any]) -> None:
    add_filter(document, unit, dict(table), before)


def _remove(unit: str, name: str, document: dict[str, Any]) -> None:
    remove_filter(document, unit, name)


def _change(unit: str, name: str, values: dict[str, Any], document: dict[str, Any]) -> None:
    change_filter(document, unit, name, values)
