"""Doing what people, and filters themselves, ask of a filter or store that is in use; see :mod:`tgtcore.actions`."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from tgtcore.aborting import abort_all, told_all
from tgtcore.actions import Action, Aftermath, Operable
from tgtcore.command_filter import CommandFilter
from tgtcore.config.paths import absolute
from tgtcore.config.problems import Problems
from tgtcore.daemon.inventory import Inventory, Unit
from tgtcore.daemon.lasting import to_the_end
from tgtcore.daemon.layers import Layer, layer_called, layers_of_unit
from tgtcore.daemon.noticing import check_notices, tell_above
from tgtcore.daemon.stores import explained
from tgtcore.errors import NotThere, TgtError
from tgtcore.leases import Job
from tgtcore.logical_unit import LogicalUnit, Pause
from tgtcore.registry import nearest
from tgtcore.store import Store

_log = logging.getLogger(__name__)

_STORE_S = 5.0
"""What an action may take where nobody says, besides the commands that run."""


class Acted(NamedTuple):
    """What an action has returned, and for how long its logical unit was paused for it."""

    result: Any
    paused_s: float


@dataclass(frozen=True, slots=True)
class Wish:
    """One action, ready to be done.

    :param layer: whose it is.
    :param arguments: checked.
    """

    unit: Unit
    layer: Layer
    action: Action
    arguments: BaseModel

    def __str__(self) -> str:
        return f"{self.action.name} of filter {self.layer.name} of {self.unit.lu}"


def usual_timeout_s(inventory: Inventory) -> float:
    """How long an action may take where nobody says."""
    return inventory.drain_s + _STORE_S


def wish(unit: Unit, name: str, action: str, values: Mapping[str, Any], base: Path = Path("/")) -> Wish:
    """An action that somebody asks for.

    :param name: of the filter, as in :class:`~tgtcore.daemon.layers.Layer`.
    :param values: its arguments, as users write them.
    :param base: the folder that relative paths among them count from.
    :raises NotThere: there is no such filter, or it has no such action.
    :raises ConfigError: an argument is wrong.
    """
    layer = layer_called(unit, name)
    found = find_action(name, type(layer.object), action)
    problems = Problems(f"{name} {action}")
    arguments = problems.check((), found.arguments, absolute(found.arguments, dict(values), base))
    problems.raise_if_any()
    return Wish(unit, layer, found, arguments)


def find_action(name: str, cls: type[Operable], action: str) -> Action:
    """An action of a class.

    :param name: what its object is called, for messages.
    :raises NotThere: it has none of that name.
    """
    found = cls.actions.get(action)
    if found is None:
        known = f" (expected one of: {', '.join(cls.actions)})" if cls.actions else "; it has none"
        raise NotThere(f'filter {name} has no action "{action}"{nearest(action, cls.actions)}{known}')
    return found


async def act(inventory: Inventory, wished: Wish, timeout_s: float) -> Acted:
    """Do an action, while the logical unit stands still if it needs that, and tell initiators what they have to know.

    :param timeout_s: how long all of it may take.
    :raises DrainTimeout: commands or the action take longer; an action that has begun goes on by itself.
    :raises StoreError: it has failed, or something stands on that layer that would not notice.
    :raises NotThere: the filter has gone meanwhile.
    :raises Draining: the logical unit is going away.
    """
    unit, action = wished.unit, wished.action
    if not action.pauses:
        with explained(str(wished)):
            return Acted(getattr(wished.layer.object, action.method)(wished.arguments), 0.0)
    _check_possible(wished)
    ends_at = inventory.loop.time() + timeout_s
    pause = Pause(unit.lu, str(wished))
    await pause.begin(timeout_s)
    left_s = max(ends_at - inventory.loop.time(), 0.0)
    return await to_the_end(_act(inventory, wished, pause), str(wished), unit.lu, left_s)


async def _act(inventory: Inventory, wished: Wish, pause: Pause) -> Acted:
    unit, layer, action = wished.unit, wished.layer, wished.action
    old_bytes = unit.store.size_bytes if unit.store is not None else 0
    try:
        _check_possible(wished)
        with explained(str(wished)), unit.lu.leases.lease(Job(str(wished))):
            call = unit.store.call if unit.store is not None else inventory.workers.call
            result = await call(getattr(layer.object, action.method), wished.arguments)
            try:
                if action.after is not Aftermath.NOTHING and isinstance(layer.object, Store):
                    await call(tell_above, unit.stack, layer.object)
            finally:  # it is done, whatever those above make of it
                _AFTERWARDS[action.after](unit.lu, old_bytes)
    finally:
        pause.end()
    return Acted(result, pause.lasted_s)


def _check_possible(wished: Wish) -> None:
    """Before, and again when nothing can change any more."""
    unit, layer = wished.unit, wished.layer
    if not any(one.object is layer.object for one in layers_of_unit(unit)):
        raise NotThere(f"filter {layer.name} of {unit.lu} has gone")
    if wished.action.after is not Aftermath.NOTHING and isinstance(layer.object, Store):
        check_notices(unit, layer.object, f"{wished} can't be done")


# ---- what initiators are told -----------------------------------------------------------------------------------------


def _medium_changed(lu: LogicalUnit, old_bytes: int) -> None:
    lu.reverted(old_bytes)


def _power_on(lu: LogicalUnit, old_bytes: int) -> None:
    """No command survives.  A power cut tells nobody, but the session has outlived it: nobody is to wait for a timeout."""
    abort_all(lu.tasks(), told_all, lu.power_cycled)


_AFTERWARDS = {
    Aftermath.NOTHING: lambda lu, old_bytes: None,
    Aftermath.MEDIUM_CHANGED: _medium_changed,
    Aftermath.POWER_ON: _power_on,
}


# ---- what filters ask for themselves ------------------------------------------------------------------------------------


def request(inventory: Inventory, unit: Unit, filter: CommandFilter, action: str) -> None:
    """Have an action of a filter done soon, with its defaults; how it ends is logged.  Never raises."""
    task = asyncio.ensure_future(_requested(inventory, unit, filter, action))
    inventory.requests.add(task)
    task.add_done_callback(inventory.requests.discard)


async def _requested(inventory: Inventory, unit: Unit, filter: CommandFilter, action: str) -> None:
    name = next((layer.name for layer in layers_of_unit(unit) if layer.object is filter), type(filter).__name__)
    try:
        done = await act(inventory, wish(unit, name, action, {}), usual_timeout_s(inventory))
    except Exception as error:
        unexpected = None if isinstance(error, TgtError) else error
        _log.error(
            "%s of filter %s of %s, which it has asked for itself: %s",
            action,
            name,
            unit.lu,
            error,
            exc_info=unexpected,
        )
        return
    _log.info("%s of filter %s of %s, which it has asked for itself, is done: %s", action, name, unit.lu, done.result)
