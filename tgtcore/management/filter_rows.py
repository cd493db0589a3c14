"""Filters as verbs show them."""

from typing import Any

from tgtcore.command_filter import CommandFilter
from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.layers import Layer, layers_of_unit
from tgtcore.store import Filter


def is_shown(layer: Layer) -> bool:
    """Whether people may want to do something with it: not so a store that offers nothing."""
    return layer.can_go or isinstance(layer.object, Filter) or bool(layer.object.actions)


def filter_row(unit: Unit, layer: Layer) -> dict[str, Any]:
    """What a list shows of one."""
    held = len(layer.object.held) if isinstance(layer.object, CommandFilter) else 0
    return {
        "unit": unit.config.name,
        "name": layer.name,
        "type": layer.type,
        "sees": layer.sees,
        "key": "filters" if layer.can_go else "store",
        "held": held,
    }


def filter_figures(unit: Unit) -> dict[str, Any]:
    """The figures of all filters of a logical unit by name."""
    return {layer.name: layer.object.figures() for layer in layers_of_unit(unit) if is_shown(layer)}
