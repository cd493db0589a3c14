"""What stands between the initiators of a logical unit and its medium, by the names that people use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydantic import BaseModel

from tgtcore.actions import Operable
from tgtcore.command_filter import CommandFilter
from tgtcore.config import FilterConfig, StoreConfig
from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.stores import layers_of
from tgtcore.errors import NotThere
from tgtcore.registry import nearest
from tgtcore.store import Features, Store


@dataclass(frozen=True, slots=True)
class Layer:
    """A filter, format or store in use.

    :param name: a filter's name in the configuration; a store's or format's, or that of a filter in the key ``store``, is its type,
        with a number if others have it.
    :param can_go: whether it is one of the key ``filters``.
    """

    name: str
    type: str
    options: BaseModel
    object: Operable
    can_go: bool

    @property
    def sees(self) -> list[str]:
        """What goes through it."""
        kinds = {"commands": CommandFilter, "storage": Store}
        return [word for word, kind in kinds.items() if isinstance(self.object, kind)]


def names(
    filters: Sequence[FilterConfig], store: StoreConfig | None
) -> Iterator[tuple[str, FilterConfig | StoreConfig]]:
    """The names of everything that a configuration makes a logical unit from, the outermost first."""
    taken = {one.name for one in filters}
    for one in filters:
        yield one.name, one
    for layer in reversed(layers_of(store) if store is not None else []):
        name = layer.type
        number = 2
        while name in taken:
            name, number = f"{layer.type}-{number}", number + 1
        taken.add(name)
        yield name, layer


def layers_of_unit(unit: Unit) -> list[Layer]:
    """Everything that a logical unit has, the outermost first."""
    objects: list[Operable] = [part.filter for part in unit.filters]
    if unit.stack is not None:
        objects += reversed(unit.stack.layers)
    named = names([part.config for part in unit.filters], unit.config.store)
    return [
        Layer(name, config.type, config.options, one, isinstance(config, FilterConfig))
        for one, (name, config) in zip(objects, named, strict=False)  # one may stand in for stores that are lost
    ]


def layer_called(unit: Unit, name: str) -> Layer:
    """One of them.

    :raises NotThere: there is none of that name.
    """
    found = {layer.name: layer for layer in layers_of_unit(unit)}
    if name not in found:
        raise NotThere(
            f'{unit.lu} has no filter called "{name}"{nearest(name, found)}; see: tgtadm filter list {unit.lu.name}'
        )
    return found[name]


def keeping_back(unit: Unit, feature: Features) -> Layer | None:
    """The lowest of those because of which initiators do not get what the store could do; None: that can't do it either.

    :param feature: what the stack does not offer.
    """
    layers = [layer for layer in layers_of_unit(unit) if isinstance(layer.object, Store)]
    for layer, beneath in pairwise(layers):
        assert isinstance(layer.object, Store)
        assert isinstance(beneath.object, Store)
        if feature in layer.object.features():
            return None
        if feature in beneath.object.features():
            return layer
    return None
