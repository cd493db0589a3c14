"""An event loop with a clock of its own: nothing sleeps, time jumps to the next timer."""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVarTuple

if TYPE_CHECKING:
    from contextvars import Context

    from sim.environment import Environment

_Ts = TypeVarTuple("_Ts")
_JITTER_S = 1e-6
_JOIN_S = 5.0
_PLAN_S = 0.0005


class Halted(BaseException):
    """The loop was told to leave everything as it is."""


class Stalled(Exception):
    """Nothing is ready and no timer runs: nothing will ever happen any more."""


class SimLoop(asyncio.BaseEventLoop):
    """asyncio's loop without sockets, threads and real time.

    Callbacks run in the order that asyncio guarantees.  Timers that are due at the same time come in a random order.

    :param chance: decides what has no order.
    :param environment: what stores and transports find by way of their loop.
    """

    def __init__(self, chance: random.Random, environment: "Environment", now_s: float = 0.0) -> None:
        super().__init__()
        self.environment = environment
        self.halted = False
        self._jitter = chance.random
        self._now_s = now_s
        self._selector = self
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._now_s

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: "Context | None" = None,
    ) -> asyncio.TimerHandle:
        return super().call_at(when + self._jitter() * _JITTER_S, callback, *args, context=context)

    def select(self, timeout: float | None) -> list[Any]:
        """What a selector does: wait."""
        if self.halted:
            raise Halted
        if timeout is None:
            raise Stalled(f"nothing will ever happen after {self._now_s:.6f} s")
        self._now_s += timeout
        return []

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, function: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Call it here, after what it may take: all the time that a join has, a moment for what only computes."""
        future: asyncio.Future[Any] = self.create_future()
        inner = function.args[0] if isinstance(function, partial) else function  # asyncio.to_thread wraps it

        def call() -> None:
            if future.done():
                return
            try:
                future.set_result(function(*args))
            except Exception as error:
                future.set_exception(error)

        self.call_later(_JOIN_S if inner.__name__ == "join" else _PLAN_S, call)
        return future

    def _process_events(self, events: list[Any]) -> None:
        return

    def _write_to_self(self) -> None:
        return
