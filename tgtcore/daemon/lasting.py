"""Work on a logical unit that goes on to its end, whether or not somebody still waits for it."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from tgtcore.errors import DrainTimeout
from tgtcore.logical_unit import LogicalUnit
from tgtcore.task import State, Task

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


async def to_the_end(
    work: Coroutine[Any, Any, _T], what: str, lu: LogicalUnit, timeout_s: float, *, beside_commands: bool = False
) -> _T:
    """Wait for some work, but not for ever; how it has ended is logged if nobody waits any more.

    :param what: what it is, as messages name it.
    :param beside_commands: it does not wait for commands to end.
    :raises DrainTimeout: it takes longer than ``timeout_s``, and goes on by itself.
    """
    task = asyncio.ensure_future(work)
    try:
        if not (await asyncio.wait({task}, timeout=timeout_s))[0]:
            if beside_commands:
                raise DrainTimeout(f"{what} has not ended after {timeout_s:g} s; it goes on by itself")
            raise _late(what, lu, timeout_s)
        return task.result()
    finally:
        if not task.done():
            task.add_done_callback(lambda late: _report(what, late))


def _late(what: str, lu: LogicalUnit, timeout_s: float) -> DrainTimeout:
    running = lu.leases.holders(lambda holder: isinstance(holder, Task) and holder.state is State.RUNNING)
    holders = [str(holder) for holder in running]
    reason = f"commands are running: {', '.join(holders)}" if holders else "its store hangs"
    return DrainTimeout(f"{what} has not ended after {timeout_s:g} s: {reason}", holders)


def _report(what: str, late: "asyncio.Task[Any]") -> None:
    if late.cancelled():
        return
    if late.exception() is None:
        _log.info("%s has ended now", what)
    else:
        _log.error("%s has failed", what, exc_info=late.exception())
