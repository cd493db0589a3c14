"""Asking a store how much space is left, as long as somebody wants to know, at a price that commands don't pay."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from tgtcore import Draining, LogicalUnit, OpenStore, Space

_log = logging.getLogger(__name__)

BUSY_S = 1.0
"""Between two questions while commands come."""

IDLE_S = 30.0
"""Between two questions while none come: others may take space too."""


class SpaceWatch:
    """Looks every second whether commands have come since, and then asks the store, on a worker thread.

    :param found: is told what the store says, on the loop's thread.
    """

    def __init__(self, lu: LogicalUnit, store: OpenStore, found: Callable[[Space], None]) -> None:
        self._lu = lu
        self._store = store
        self._found = found
        self._watching = self._asking = self._failing = False
        self._timer: asyncio.TimerHandle | None = None
        self._accepted = 0
        self._asked_s = 0.0

    def __str__(self) -> str:
        return f"question of {self._lu} for the space that is left"

    def start(self) -> None:
        """Ask now, and from now on."""
        if not self._watching:
            self._watching = True
            self._ask()

    def stop(self) -> None:
        """Ask no more; idempotent."""
        self._watching = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask(self) -> None:
        """Hold a lease meanwhile, so that the store stays what it is."""
        if self._asking:
            return
        try:
            self._store.leases.take(self)
        except Draining:
            self.stop()
            return
        self._asking = True
        self._accepted = self._lu.accepted
        self._lu.run(self._store.space, (), self._answered)

    def _answered(self, space: Any, error: BaseException | None) -> None:
        self._store.leases.give(self)
        self._asking = False
        if (
            not self._watching or self._lu.store is not self._store
        ):  # the logical unit never got, or has lost, this store
            self.stop()
            return
        if error is not None:
            if not self._failing:
                _log.warning("%s failed: %s", self, error)
        else:
            self._found(space)
        self._failing = error is not None
        loop = asyncio.get_running_loop()
        self._asked_s = loop.time()
        self._timer = loop.call_later(BUSY_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask again if there is a reason to; not while the logical unit is paused, since its store may be another one then."""
        idle = self._lu.accepted == self._accepted and loop.time() < self._asked_s + IDLE_S
        if idle or self._lu.pause is not None:
            self._timer = loop.call_later(BUSY_S, self._look, loop)
        else:
            self._ask()
