"""Opening and closing a stack of stores: a store, and the formats and filters that stand on it."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from tgtcore.config import StoreConfig
from tgtcore.errors import ConfigError, StoreError, TgtError, describe
from tgtcore.registry import Registry
from tgtcore.store import Concurrency, Features, Store

_log = logging.getLogger(__name__)


class Stack:
    """Opened stores that stand on each other.

    :param stores: the lowest first.
    :param filters: how many of them, at the top, are filters that may go while the others are in use.
    """

    __slots__ = ("_fixed", "stores")

    def __init__(self, stores: list[Store], filters: int = 0) -> None:
        self.stores = stores
        self._fixed = len(stores) - filters

    @property
    def layers(self) -> list[Store]:
        """Those that stay."""
        return self.stores[: self._fixed]

    def with_filters(self, filters: list[Store]) -> "Stack":
        """Those that stay with other filters on them, the lowest first."""
        return Stack([*self.layers, *filters], len(filters))

    @property
    def top(self) -> Store:
        """What the logical unit sees."""
        return self.stores[-1]

    @property
    def concurrency(self) -> Concurrency:
        """The strictest of the stack."""
        parallel = all(store.concurrency is Concurrency.PARALLEL for store in self.stores)
        return Concurrency.PARALLEL if parallel else Concurrency.SERIAL

    @property
    def keeper(self) -> Store | None:
        """The uppermost store that keeps snapshots."""
        return next((store for store in reversed(self.stores) if Features.SNAPSHOTS in store.features()), None)

    def unmake(self) -> None:
        """Remove what making these stores has made: what they were opened for has failed."""
        for store in reversed(self.stores):
            store.unmake()

    def above(self, store: Store) -> list[Store]:
        """What stands on one of the stores, the lowest first."""
        return self.stores[self.stores.index(store) + 1 :]

    def discard(self) -> None:
        """Unmake and close everything: nobody uses it."""
        with contextlib.ExitStack() as closing:
            closing.callback(self.close_bases)
            closing.callback(self.top.close)
            closing.callback(self.unmake)

    def close_bases(self) -> None:
        """Close everything beneath the top, downwards; the top was closed before."""
        with contextlib.ExitStack() as closing:
            for store in self.stores[:-1]:
                closing.callback(store.close)


def close_stack(stack: Stack) -> None:
    """Close all of a stack, whatever fails on the way; runs on a worker thread."""
    with contextlib.ExitStack() as closing:
        closing.callback(stack.close_bases)
        stack.top.close()


def layers_of(config: StoreConfig) -> list[StoreConfig]:
    """The stores of a stack, the lowest first."""
    layers = [config]
    while layers[0].base is not None:
        layers.insert(0, layers[0].base)
    return layers


def open_stack(registry: Registry, config: StoreConfig, what: str) -> Stack:
    """Open a stack of stores, or none of it; runs on a worker thread.

    :param what: whose stores they are, for messages.
    :raises StoreError: one can't be opened; those beneath it are unmade and closed again.
    """
    with contextlib.ExitStack() as undo:
        stores: list[Store] = []
        for layer in layers_of(config):
            try:
                stores.append(_open(registry, layer, stores))
            except Exception as error:
                raise StoreError(explain(f"{what}: store {layer.type}", error)) from error
            undo.callback(stores[-1].close)
            undo.callback(stores[-1].unmake)
        undo.pop_all()
    return Stack(stores)


def _open(registry: Registry, config: StoreConfig, beneath: list[Store]) -> Store:
    simple = registry.stores.get(config.type)
    if simple is not None:
        make: Any = simple
        made: Store = make(config.options)
        return made
    layer = registry.formats.get(config.type) or registry.filters.get(config.type)
    assert layer is not None, f"{config.type} was checked"
    return layer(beneath[-1], config.options)


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """While code of a plugin runs: what it raises becomes an error that begins with whose it is.

    :raises StoreError: it failed.
    :raises ConfigError: what it was asked for does not fit.
    """
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from error
    except Exception as error:
        raise StoreError(explain(what, error)) from error


def explain(what: str, error: Exception) -> str:
    """What the code of a plugin raised, as a sentence for the user; a defect is logged with its traceback."""
    if isinstance(error, OSError | TgtError | ValueError):
        return f"{what}: {describe(error)}"
    _log.error("%s failed inside", what, exc_info=error)
    return f"{what} failed inside: {type(error).__name__}: {error}"
