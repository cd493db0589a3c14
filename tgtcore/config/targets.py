"""Checking targets: their names, LUN maps, access lists and their transports' keys."""

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from tgtcore.config.models import LunMapConfig, TargetConfig, TargetKeys
from tgtcore.config.positions import Place
from tgtcore.config.problems import Problems, expected
from tgtcore.limits import LUNS_PER_TARGET_MAX, NAME_BYTES_MAX
from tgtcore.registry import Registry, nearest
from tgtcore.target import AccessList

_CORE_KEYS = frozenset(TargetKeys.model_fields)
_EVERYBODY = ("*",)


def check_target(
    name: str, table: Any, registry: Registry, problems: Problems, units: Collection[str]
) -> TargetConfig | None:
    """Check ``[targets.NAME]``; None when something is wrong with it.

    :param units: the names of the logical units.
    """
    place: Place = ("targets", name)
    if not isinstance(table, dict):
        problems.add(place, "expected a table")
        return None
    keys: TargetKeys | None = problems.check(
        place, TargetKeys, {key: value for key, value in table.items() if key in _CORE_KEYS}
    )
    options = _check_transport(place, table, registry, problems)
    luns = _check_luns((*place, "luns"), table.get("luns", {}), units, problems)
    if keys is None:
        return None
    private = tuple(
        LunMapConfig(
            tuple(pattern.lower() for pattern in one.initiators),
            _check_luns((*place, "private_luns", index, "luns"), one.luns, units, problems),
        )
        for index, one in enumerate(keys.private_luns)
    )
    allow = AccessList.parse(keys.allow.initiators, keys.allow.addresses)
    if options is None:
        return None
    return TargetConfig(name, keys.transport, keys.alias, options, allow, LunMapConfig(_EVERYBODY, luns), private)


def _check_transport(place: Place, table: dict[str, Any], registry: Registry, problems: Problems) -> Any:
    name = table.get("transport")
    if not isinstance(name, str):
        return None  # the core's own model has complained
    cls = registry.transports.get(name)
    if cls is None:
        problems.unknown((*place, "transport"), "transport", name, registry.transports)
        return None
    target_name = str(place[-1])
    wrong = cls.check_target_name(target_name)
    if wrong is None and len(target_name.encode()) > NAME_BYTES_MAX:
        wrong = f"the name is longer than {NAME_BYTES_MAX} bytes"
    if wrong is not None:
        problems.add(place, wrong)
    return check_own_keys(place, table, TargetKeys, cls.TargetOptions, problems)


def check_own_keys(
    place: Place, table: dict[str, Any], core: type[BaseModel], model: type[BaseModel], problems: Problems
) -> Any:
    """Check what a driver's own keys are in a table that it shares with the core; an instance of its model, or None.

    :param core: the model of the core's keys.
    """
    own = {key: value for key, value in table.items() if key not in core.model_fields}
    if model.model_config.get("extra") == "forbid":
        known = sorted({*core.model_fields, *model.model_fields})
        for key in [key for key in own if key not in model.model_fields]:
            problems.add((*place, key), f"unknown key{nearest(key, known)}{expected(known)}")
            del own[key]
    return problems.check(place, model, own)


def _check_luns(place: Place, luns: Any, units: Collection[str], problems: Problems) -> dict[int, str]:
    """A LUN map as numbers and names; what is wrong is left out and noted."""
    if isinstance(luns, list | tuple):
        entries: list[tuple[Any, Any, Any]] = [(number, number, name) for number, name in enumerate(luns)]
    elif isinstance(luns, dict):
        entries = [(key, key, name) for key, name in luns.items()]
    else:
        problems.add(place, 'expected LUNs such as { 0 = "disk0" } or ["disk0"]')
        return {}
    found: dict[int, str] = {}
    mapped: set[str] = set()
    for key, written, name in entries:
        where = (*place, key)
        lun = _number(written)
        if lun is None or not 0 <= lun < LUNS_PER_TARGET_MAX:
            problems.add(where, f"expected a LUN from 0 to {LUNS_PER_TARGET_MAX - 1}")
        elif not isinstance(name, str):
            problems.add(where, "expected the name of a logical unit")
        elif name not in units:
            problems.unknown(where, "logical unit", name, units)
        elif lun in found:
            problems.add(where, f'LUN {lun} is "{found[lun]}" already')
        elif name in mapped:
            problems.add(where, f'logical unit "{name}" is mapped here already')
        else:
            found[lun] = name
            mapped.add(name)
    return found


def _number(written: Any) -> int | None:
    if isinstance(written, int) and not isinstance(written, bool):
        return written
    text = str(written)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None
