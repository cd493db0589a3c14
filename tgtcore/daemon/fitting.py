"""Making the filters of a logical unit, and keeping those of them that can stay when it is to have others."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tgtcore.command_filter import CommandFilter
from tgtcore.config import FilterConfig, LogicalUnitConfig
from tgtcore.daemon.stores import Stack, explain, open_stack
from tgtcore.errors import StoreError
from tgtcore.registry import Registry
from tgtcore.store import Filter, Store


@dataclass(frozen=True, slots=True)
class Part:
    """A filter that is in use, on storage calls, on commands, or on both."""

    config: FilterConfig
    filter: Filter | CommandFilter

    @property
    def on_storage(self) -> bool:
        """Whether it is one of the stack."""
        return isinstance(self.filter, Filter)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Filters that are ready to be used.

    :param parts: all of them, the outermost first.
    :param stack: the stores with those on storage calls on them.
    :param fresh: those of them that were made for this, the outermost first.
    :param gone: those that were there before and have no place here, the outermost first.
    """

    parts: tuple[Part, ...]
    stack: Stack | None
    fresh: tuple[Part, ...] = ()
    gone: tuple[Part, ...] = ()

    def discard(self) -> None:
        """Unmake and close everything: nobody uses it."""
        with contextlib.ExitStack() as closing:
            if self.stack is not None:
                closing.callback(self.stack.discard)
            close_parts(beside_the_stack(self.parts))


class Fitting:
    """From the filters that a logical unit has to those that it shall have.

    One stays the object that it is if its configuration and its code are the same; on storage calls only if what it stands on
    stays too.

    :param what: whose filters they are, for messages.
    :param registry: what there is now.
    :param wanted: the filters that it shall have, the outermost first.
    :param present: those that it has.
    """

    def __init__(
        self, what: str, registry: Registry, wanted: Sequence[FilterConfig], present: Sequence[Part] = ()
    ) -> None:
        self._what = what
        self._registry = registry
        self._wanted = wanted
        wanted_layers = [config for config in reversed(wanted) if config.type in registry.filters]
        layers = [part for part in reversed(present) if part.on_storage]
        kept = 0
        while kept < min(len(layers), len(wanted_layers)) and self._is(layers[kept], wanted_layers[kept]):
            kept += 1
        self.moves_storage = kept < max(len(layers), len(wanted_layers))
        """Whether the stack changes, so that the logical unit must stand still for it."""
        by_name = {config.name: config for config in wanted}
        stays = [
            *layers[:kept],
            *(part for part in present if not part.on_storage and self._is(part, by_name.get(part.config.name))),
        ]
        self._kept = {part.config.name: part for part in stays}
        self._gone = tuple(part for part in present if part not in stays)

    def _is(self, part: Part, wanted: FilterConfig | None) -> bool:
        return part.config == wanted and type(part.filter) is self._registry.filter_class(part.config.type)

    def make(self, stack: Stack | None) -> Fitted:
        """Make what is missing; runs on a worker thread.

        :param stack: the stores, with the filters that are present; they are left as they are.
        :raises StoreError: a filter can't be made; those that were made before it are closed again.
        """
        layers: list[Store] = []
        parts: list[Part] = []
        fresh: list[Part] = []
        with contextlib.ExitStack() as undo:
            for config in reversed(self._wanted):
                part = self._kept.get(config.name)
                if part is None:
                    part = self._make(config, layers[-1] if layers else stack.layers[-1] if stack is not None else None)
                    fresh.append(part)
                    undo.callback(part.filter.close)
                if isinstance(part.filter, Filter):
                    layers.append(part.filter)
                parts.insert(0, part)
            undo.pop_all()
        return Fitted(tuple(parts), stack and stack.with_filters(layers), tuple(fresh[::-1]), self._gone)

    def _make(self, config: FilterConfig, base: Store | None) -> Part:
        cls: Any = self._registry.filter_class(config.type)
        try:
            if issubclass(cls, Filter):
                return Part(config, cls(base, config.options))
            return Part(config, cls(config.options))
        except Exception as error:
            raise StoreError(explain(f"{self._what}: filter {config}", error)) from error


def open_all(registry: Registry, config: LogicalUnitConfig, what: str, present: Sequence[Part] = ()) -> Fitted:
    """Open the stores of a logical unit and make its filters, or nothing of it; runs on a worker thread.

    :param present: filters on commands that may stay what they are.
    :raises StoreError: something can't be opened.
    """
    stack = open_stack(registry, config.store, what) if config.store is not None else None
    try:
        return Fitting(what, registry, config.filters, present).make(stack)
    except BaseException:
        if stack is not None:
            stack.discard()
        raise


def close_parts(parts: Sequence[Part]) -> None:
    """Close filters, the first one first, whatever one of them raises; runs on a worker thread."""
    with contextlib.ExitStack() as closing:
        for part in reversed(parts):
            closing.callback(part.filter.close)


def beside_the_stack(parts: Iterable[Part]) -> list[Part]:
    """Those that are on commands only."""
    return [part for part in parts if not part.on_storage]


def command_filters(parts: Sequence[Part], stack: Stack | None) -> list[CommandFilter]:
    """Who sees the commands of a logical unit, in the order in which they do: also filters in the key ``store``."""
    found = [part.filter for part in parts if isinstance(part.filter, CommandFilter)]
    layers = reversed(stack.layers) if stack is not None else ()
    return [*found, *(layer for layer in layers if isinstance(layer, CommandFilter))]
