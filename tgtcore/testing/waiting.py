"""Waiting in tests for what must come, and not for ever."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeVar

_Result = TypeVar("_Result")

WITHIN_S = 30.0
"""How long anything may take, unless a test says otherwise: a machine may be busy."""

_EVERY_S = 0.005


def until(holds: Callable[[], Any], within_s: float = WITHIN_S, what: Callable[[], Any] | None = None) -> None:
    """Wait until something holds.

    :param holds: asked time and again.
    :param what: tells what there is instead, for the message.
    :raises AssertionError: it did not come.
    """
    ends_at = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends_at, _in_vain(within_s, what)
        time.sleep(_EVERY_S)


async def until_async(
    holds: Callable[[], Any], within_s: float = WITHIN_S, what: Callable[[], Any] | None = None
) -> None:
    """Wait until something holds while the loop goes on; the parameters are those of :func:`until`.

    :param holds: may also give something to be awaited.
    :raises AssertionError: it did not come.
    """
    ends_at = time.monotonic() + within_s
    while True:
        held = holds()
        if await held if isawaitable(held) else held:
            return
        assert time.monotonic() < ends_at, _in_vain(within_s, what)
        await asyncio.sleep(_EVERY_S)


class TurnedLoop:
    """An event loop that goes on only while a test waits for something."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def run(self, work: Awaitable[_Result]) -> _Result:
        """Turn the loop until something awaited has ended.

        :raises TimeoutError: it does not end within :data:`WITHIN_S`.
        """
        return self.loop.run_until_complete(asyncio.wait_for(work, WITHIN_S))

    def until(self, holds: Callable[[], Any], what: str) -> None:
        """Turn the loop until something holds.

        :param what: is waited for, for the message.
        :raises AssertionError: it did not come within :data:`WITHIN_S`.
        """
        ends_at = self.loop.time() + WITHIN_S
        while not holds():
            assert self.loop.time() < ends_at, f"{what} did not come within {WITHIN_S} s"
            self.loop.run_until_complete(asyncio.sleep(0.001))


def _in_vain(within_s: float, what: Callable[[], Any] | None) -> str:
    return f"it did not come within {within_s} s" + ("" if what is None else f": {what()}")
