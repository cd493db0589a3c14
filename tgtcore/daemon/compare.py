"""What must be done to get from one configuration to another: only what differs, in an order in which it can be done."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tgtcore.config import EMPTY, Config, LogicalUnitConfig, TargetConfig
from tgtcore.daemon.things import Kind, Thing, lun_thing
from tgtcore.errors import ConfigError


class Action(Enum):
    """What a step does; the value is shown to users."""

    ADD = "add"
    REMOVE = "remove"
    CHANGE = "change"
    RELOAD = "reload"


@dataclass(frozen=True)
class Step:
    """One change.

    :param name: the thing, by its name in the configuration.
    :param detail: what is changed, for people.
    :param old: what it was made from, where it existed.
    :param new: what it is made from, where it will exist.
    :param place: of a LUN: index of the LUN map, LUN, logical unit.
    """

    action: Action
    kind: Kind
    name: str
    detail: str = ""
    old: Any = None
    new: Any = None
    place: tuple[int, int, str] | None = None

    @property
    def thing(self) -> Thing:
        """What it is about."""
        return lun_thing(self.name, *self.place[:2]) if self.place else Thing(self.kind, self.name)

    def __str__(self) -> str:
        what = " ".join(filter(None, (self.action.value, self.kind.value, self.name)))
        return f"{what}: {self.detail}" if self.detail else what


_RESTART_KEYS = ("socket", "state_directory", "workers")


def compare(old: Config, new: Config) -> list[Step]:
    """The steps from one configuration to another.

    New plugins come first, since others may need them.  Portals of running transports follow, since they fail most often; then new
    things, as far as they do not need what is going away; then removals; then the rest.  New transports come late, so that nobody
    is let in before all is there, and plugins go last, when nothing is left of them.

    :raises ConfigError: something differs that can't change while the daemon runs.
    """
    _check_fixed(old, new)
    reopened = _reopened(old, new)
    remade = {
        name for name, target in new.targets.items() if name in old.targets and _must_remake(old.targets[name], target)
    }
    early, late = _added_units(old, new, reopened)
    steps: list[Step] = []
    steps += _simple(Kind.DAEMON, {"": old.daemon}, {"": new.daemon})
    plugins = list(_simple(Kind.PLUGIN, old.plugin, new.plugin))
    steps += [step for step in plugins if step.action is not Action.REMOVE]
    steps += _changed_transports(old, new)
    steps += _simple(Kind.ACCOUNT, old.accounts, new.accounts)
    steps += [_add_unit(new.logical_units[name]) for name in early]
    steps += _changed_in_use(old, new, reopened)
    steps += _luns(Action.REMOVE, old, new, reopened, remade)
    steps += _removed_targets(old, new, remade)
    steps += _removed_units(old, new, reopened)
    steps += [_add_unit(new.logical_units[name]) for name in late]
    steps += _new_targets(old, new, remade)
    steps += _luns(Action.ADD, new, old, reopened, remade)
    steps += _other_transports(old, new)
    steps += [step for step in plugins if step.action is Action.REMOVE]
    return steps


def _check_fixed(old: Config, new: Config) -> None:
    if old is EMPTY:
        return  # nothing runs yet
    problems = [
        f"daemon.{key}: can't change while the daemon runs; restart it"
        for key in _RESTART_KEYS
        if getattr(old.daemon, key) != getattr(new.daemon, key)
    ]
    if problems:
        raise ConfigError(*problems)


def _simple(kind: Kind, old: Any, new: Any) -> Iterator[Step]:
    for name in new:
        if name not in old:
            yield Step(Action.ADD, kind, name, new=new[name])
        elif new[name] != old[name]:
            yield Step(Action.CHANGE, kind, name, _differing(old[name], new[name]), old[name], new[name])
    for name in old:
        if name not in new:
            yield Step(Action.REMOVE, kind, name, old=old[name])


def _changed_transports(old: Config, new: Config) -> Iterator[Step]:
    """Running transports that get other options."""
    for name, transport in new.transports.items():
        before = old.transports.get(name)
        if before is not None and before.keys == transport.keys and before.options != transport.options:
            differing = _differing(before.options, transport.options)
            yield Step(Action.CHANGE, Kind.TRANSPORT, name, differing, before, transport)


def _other_transports(old: Config, new: Config) -> Iterator[Step]:
    """Transports that go, that come, and that are to run elsewhere and so go and come."""
    for name, transport in old.transports.items():
        after = new.transports.get(name)
        if after is None:
            yield Step(Action.REMOVE, Kind.TRANSPORT, name, old=transport)
        elif after.keys != transport.keys:
            differing = _differing(transport.keys, after.keys)
            yield Step(Action.REMOVE, Kind.TRANSPORT, name, f"to change {differing}", transport)
    for name, transport in new.transports.items():
        before = old.transports.get(name)
        if before is None or before.keys != transport.keys:
            yield Step(Action.ADD, Kind.TRANSPORT, name, new=transport)


def _differing(old: Any, new: Any) -> str:
    """The names of the fields that differ; never their values, which may be secrets."""
    fields = getattr(type(old), "model_fields", None) or getattr(old, "__dataclass_fields__", {})
    return ", ".join(name for name in fields if getattr(old, name) != getattr(new, name, None))


def _reopened(old: Config, new: Config) -> set[str]:
    """Logical units that are made anew because something about them differs."""
    return {
        name
        for name, unit in new.logical_units.items()
        if (before := old.logical_units.get(name, unit)) is not unit and before != unit
    }


def _added_units(old: Config, new: Config, reopened: set[str]) -> tuple[list[str], list[str]]:
    """New logical units: those that can be opened at once, and those that need a file which another one still has."""
    leaving = [unit for name, unit in old.logical_units.items() if name not in new.logical_units or name in reopened]
    held = {path for unit in leaving for path in _files(unit)}
    early, late = [], []
    for name, unit in new.logical_units.items():
        if name in reopened or (name not in old.logical_units and _files(unit) & held):
            late.append(name)
        elif name not in old.logical_units:
            early.append(name)
    return early, late


def _files(unit: LogicalUnitConfig) -> set[Path]:
    """The files of a logical unit, by whatever names."""
    return {path.resolve() for path in unit.store.paths} if unit.store else set()


def _add_unit(unit: LogicalUnitConfig) -> Step:
    return Step(Action.ADD, Kind.LOGICAL_UNIT, unit.name, str(unit.store or ""), new=unit)


def _changed_in_use(old: Config, new: Config, reopened: set[str]) -> Iterator[Step]:
    """Logical units that stay as they are, with other filters, or whose snapshots are to be made at other times."""
    for name, unit in new.logical_units.items():
        before = old.logical_units.get(name, unit)
        if before is unit or name in reopened:
            continue
        differing = [key for key in ("filters", "snapshots") if getattr(before, key) != getattr(unit, key)]
        if differing:
            yield Step(Action.CHANGE, Kind.LOGICAL_UNIT, name, ", ".join(differing), before, unit)


def _removed_units(old: Config, new: Config, reopened: set[str]) -> Iterator[Step]:
    for name, unit in old.logical_units.items():
        if name in reopened:
            yield Step(
                Action.REMOVE, Kind.LOGICAL_UNIT, name, f"to change {_differing(unit, new.logical_units[name])}", unit
            )
        elif name not in new.logical_units:
            yield Step(Action.REMOVE, Kind.LOGICAL_UNIT, name, old=unit)


def _must_remake(old: TargetConfig, new: TargetConfig) -> bool:
    """Another transport, or other people in the private LUN maps: who sees what can't be changed under a session."""
    return old.transport != new.transport or [one.initiators for one in old.maps()] != [
        one.initiators for one in new.maps()
    ]


def _removed_targets(old: Config, new: Config, remade: set[str]) -> Iterator[Step]:
    for name, target in old.targets.items():
        if name in remade:
            yield Step(Action.REMOVE, Kind.TARGET, name, "to change its transport or private LUN maps", target)
        elif name not in new.targets:
            yield Step(Action.REMOVE, Kind.TARGET, name, old=target)


def _new_targets(old: Config, new: Config, remade: set[str]) -> Iterator[Step]:
    for name, target in new.targets.items():
        before = old.targets.get(name)
        if before is None or name in remade:
            yield Step(Action.ADD, Kind.TARGET, name, new=target)
        else:
            fields = [key for key in ("alias", "options", "allow") if getattr(before, key) != getattr(target, key)]
            if fields:
                yield Step(Action.CHANGE, Kind.TARGET, name, ", ".join(fields), before, target)


def _luns(action: Action, these: Config, others: Config, reopened: set[str], remade: set[str]) -> Iterator[Step]:
    """LUNs that one configuration has and the other has not, in targets that stay."""
    for name, target in these.targets.items():
        if name in remade or name not in others.targets:
            continue
        for index, (here, there) in enumerate(zip(target.maps(), others.targets[name].maps(), strict=True)):
            for lun, unit in here.luns.items():
                if there.luns.get(lun) != unit or unit in reopened:
                    yield Step(action, Kind.LUN, name, f"LUN {lun}, logical unit {unit}", place=(index, lun, unit))
