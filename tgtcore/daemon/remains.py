"""What is in force after a change that failed and could not be undone in all its parts."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from tgtcore.config import Config, LunMapConfig, TargetConfig
from tgtcore.daemon.compare import Action, Step
from tgtcore.daemon.things import Kind

_T = TypeVar("_T")

_TABLES = {
    Kind.ACCOUNT: "accounts",
    Kind.LOGICAL_UNIT: "logical_units",
    Kind.PLUGIN: "plugin",
    Kind.TARGET: "targets",
    Kind.TRANSPORT: "transports",
}


def without(config: Config, lost: Iterable[Step]) -> Config:
    """A configuration as the daemon has it: without what was removed and could not be made again, and with what stayed changed.

    Its document stays, so that the next change, whatever it is, tries to make what is missing.

    :param lost: the steps that could not be undone.
    """
    for step in lost:
        if step.kind is Kind.LUN:
            config = replace(config, targets=_without_lun(config.targets, step))
        elif step.kind is Kind.DAEMON:
            config = replace(config, daemon=step.new)
        else:
            table = _TABLES[step.kind]
            entries = _less(getattr(config, table), step.name)
            if step.action is not Action.REMOVE:
                entries[step.name] = step.new
            changed: Any = {table: entries}
            config = replace(config, **changed)
    return config


def _without_lun(targets: Mapping[str, TargetConfig], step: Step) -> Mapping[str, TargetConfig]:
    target = targets.get(step.name)
    if target is None or step.place is None:
        return targets
    index, lun, _ = step.place
    maps = [
        LunMapConfig(one.initiators, _less(one.luns, lun)) if number == index else one
        for number, one in enumerate(target.maps())
    ]
    return {**targets, step.name: replace(target, luns=maps[0], private_luns=tuple(maps[1:]))}


def _less(table: Mapping[Any, _T], key: Any) -> dict[Any, _T]:
    return {name: value for name, value in table.items() if name != key}
