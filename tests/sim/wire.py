"""A connection: messages arrive in order, each after a random time, or never when it is cut."""

from collections import deque
from collections.abc import Callable
from typing import Any

from sim.faults import Faults
from sim.loop import SimLoop


class Wire:
    """One direction of a connection."""

    def __init__(self, loop: SimLoop, faults: Faults) -> None:
        self._loop = loop
        self._faults = faults
        self._under_way: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._last_s = 0.0
        self.is_cut = False

    def send(self, receive: Callable[..., None], *message: Any) -> None:
        """Call ``receive(*message)`` at the other end, later."""
        if self.is_cut:
            return
        self._under_way.append((receive, message))
        self._last_s = max(self._last_s, self._loop.time() + self._faults.wire_s())
        self._loop.call_at(self._last_s, self._arrive)

    def cut(self) -> None:
        """Nothing arrives any more."""
        self.is_cut = True
        self._under_way.clear()

    def _arrive(self) -> None:
        if self._under_way:
            receive, message = self._under_way.popleft()
            receive(*message)
