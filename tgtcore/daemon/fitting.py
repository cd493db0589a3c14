"""Making the filters of a logical unit, and keeping those of them that can stay when it is to have others."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tgtcore.command_filter import CommandFilter
from tgtcore.config import FilterConfig, LogicalUnitConfig
from tgtcore.daemon.stores import Stack, explain, open_stack
from tgtcore.errors import StoreError
from tgtcore.registry import Registry
from tgtcore.store import Filter, Store


@dataclass(frozen=True, slots=True)
class Part:
    """A filter that is in use, on storage calls, on commands, or on both.

    :param number: which one it is of all that there ever were.  One that takes its place with the same name, type and keys has the
        same: nobody has asked for another, only its code or what it stands on is another.
    """

    config: FilterConfig
    filter: Filter | CommandFilter
    number: int = field(default_factory=count().__next__)

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
    :param moved: those that stand on something else than before, the lowest first, with what that was.
    """

    parts: tuple[Part, ...]
    stack: Stack | None
    fresh: tuple[Part, ...] = ()
    gone: tuple[Part, ...] = ()
    moved: tuple[tuple[Filter, Store], ...] = ()

    def move_back(self) -> None:
        """Let those that were moved stand where they stood: this is not used after all; runs on a worker thread."""
        with contextlib.ExitStack() as moving:
            for one, base in self.moved:
                moving.callback(one.stand_on, base)

    def discard(self) -> None:
        """Unmake and close everything: nobody uses it."""
        with contextlib.ExitStack() as closing:
            if self.stack is not None:
                closing.callback(self.stack.discard)
            close_parts(beside_the_stack(self.parts))


class Fitting:
    """From the filters that a logical unit has to those that it shall have.

    One stays the object that it is if its configuration and its code are the same; on storage calls, where what it stands on is
    another, only if it can move.

    :param what: whose filters they are, for messages.
    :param registry: what there is now.
    :param wanted: the filters that it shall have, the outermost first.
    :param present: those that it has.
    :param anew: whether its stores are opened anew, and closed with the filters that stand on them, so that none of those can stay.
    """

    def __init__(
        self,
        what: str,
        registry: Registry,
        wanted: Sequence[FilterConfig],
        present: Sequence[Part] = (),
        *,
        anew: bool = False,
    ) -> None:
        self._what = what
        self._registry = registry
        self._wanted = wanted
        self._present = {part.config.name: part for part in present}
        layers = [part for part in reversed(present) if part.on_storage]
        self._stood_on: dict[str, Part | None] = {
            part.config.name: base for part, base in zip(layers, [None, *layers], strict=False)
        }
        self._kept: dict[str, Part] = {}
        new_layers: list[Part | None] = []
        beneath: Part | None = None
        for config in reversed(wanted):
            part = self._staying(config, anew)
            if config.type in registry.filters:
                moves = None in new_layers[-1:] or self._stood_on.get(config.name) is not beneath
                if part is not None and moves and not _can_move(part.filter):
                    part = None
                beneath = part
                new_layers.append(part)
            if part is not None:
                self._kept[config.name] = part
        self.moves_storage = new_layers != layers
        """Whether the stack changes, so that the logical unit must stand still for it."""
        gone = (part for part in present if self._kept.get(part.config.name) is not part)
        self.gone = tuple(part for part in gone if not (anew and part.on_storage))
        """Those that have no place any more, the outermost first."""

    def _staying(self, config: FilterConfig, anew: bool) -> Part | None:
        """The one that is there and may stay, if what it stands on allows it."""
        part = self._present.get(config.name)
        return part if part is not None and self._is(part, config) and not (anew and part.on_storage) else None

    def _is(self, part: Part, wanted: FilterConfig) -> bool:
        return part.config == wanted and type(part.filter) is self._registry.filter_class(part.config.type)

    def make(self, stack: Stack | None) -> Fitted:
        """Make what is missing; runs on a worker thread, with the logical unit at a standstill where the stack changes.

        :param stack: the stores, with the filters that are present; they are left as they are.
        :raises StoreError: a filter can't be made, or not moved; those that were are closed again, or moved back.
        """
        layers: list[Store] = []
        parts: list[Part] = []
        fresh: list[Part] = []
        moved: list[tuple[Filter, Store]] = []
        with contextlib.ExitStack() as undo:
            for config in reversed(self._wanted):
                base = layers[-1] if layers else stack.layers[-1] if stack is not None else None
                part = self._kept.get(config.name)
                if part is None:
                    part = self._make(config, base)
                    fresh.append(part)
                    undo.callback(part.filter.close)
                elif isinstance(part.filter, Filter):
                    was = self._base_of(part, stack)
                    if base is not None and was is not base:
                        self._move(part.config, part.filter, base)
                        moved.append((part.filter, was))
                        undo.callback(part.filter.stand_on, was)
                if isinstance(part.filter, Filter):
                    layers.append(part.filter)
                parts.insert(0, part)
            undo.pop_all()
        with_filters = stack and stack.with_filters(layers)
        return Fitted(tuple(parts), with_filters, tuple(fresh[::-1]), self.gone, tuple(moved))

    def _make(self, config: FilterConfig, base: Store | None) -> Part:
        cls: Any = self._registry.filter_class(config.type)
        before = self._present.get(config.name)
        try:
            made = cls(base, config.options) if issubclass(cls, Filter) else cls(config.options)
        except Exception as error:
            raise StoreError(explain(f"{self._what}: filter {config}", error)) from error
        if before is not None and _is_the_same(before.config, config):
            return Part(config, made, before.number)
        return Part(config, made)

    def _base_of(self, part: Part, stack: Stack | None) -> Store:
        """What one that is there stands on."""
        assert stack is not None
        below = self._stood_on[part.config.name]
        base = stack.layers[-1] if below is None else below.filter
        assert isinstance(base, Store)
        return base

    def _move(self, config: FilterConfig, filter: Filter, base: Store) -> None:
        try:
            filter.stand_on(base)
        except Exception as error:
            raise StoreError(explain(f"{self._what}: filter {config}", error)) from error


def _can_move(filter: Filter | CommandFilter) -> bool:
    """Whether a filter can stand on something else than before."""
    return isinstance(filter, Filter) and type(filter).stand_on is not Filter.stand_on


def _is_the_same(one: FilterConfig, other: FilterConfig) -> bool:
    """Whether two say the same, as users write it: they may have been checked by different code."""
    keys = (config.options.model_dump() for config in (one, other))
    return (one.name, one.type) == (other.name, other.type) and next(keys) == next(keys)


def open_all(registry: Registry, config: LogicalUnitConfig, what: str, present: Sequence[Part] = ()) -> Fitted:
    """Open the stores of a logical unit and make its filters, or nothing of it; runs on a worker thread.

    :param present: the filters that it has, of which those on commands may stay what they are.
    :raises StoreError: something can't be opened.
    """
    stack = open_stack(registry, config.store, what) if config.store is not None else None
    try:
        return Fitting(what, registry, config.filters, present, anew=True).make(stack)
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
