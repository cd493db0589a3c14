"""Waiting in tests for what must come, and not for ever."""

import asyncio
import time
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

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


def _in_vain(within_s: float, what: Callable[[], Any] | None) -> str:
    return f"it did not come within {within_s} s" + ("" if what is None else f": {what()}")
