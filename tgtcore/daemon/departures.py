"""What is going away: each removal has a bounded time; one that needs longer goes on by itself, its door shut."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from tgtcore.errors import DrainTimeout, StoreError, TgtError

_log = logging.getLogger(__name__)

_LOGOUT_S = 5
"""What the end of a session may take besides the commands in it."""


class Departures:
    """Removals that are under way.

    :param drain_s: how long commands may take to end, asked for anew at each removal.
    """

    def __init__(self, drain_s: Callable[[], float]) -> None:
        self._drain_s = drain_s
        self._under_way: dict[asyncio.Task[None], tuple[Hashable, str]] = {}

    def __contains__(self, key: Hashable) -> bool:
        """Whether the thing with this key is still going away."""
        return any(other == key for other, _ in self._under_way.values())

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def timeout_s(self) -> float:
        """How long a removal is waited for."""
        return self._drain_s() + _LOGOUT_S

    async def see_off(
        self,
        key: Hashable,
        what: str,
        removal: Coroutine[Any, Any, Any],
        users: Callable[[], list[str]] = list,
        timeout_s: float | None = None,
    ) -> None:
        """Remove something.

        :param key: what ``in`` asks for.
        :param what: the thing, as messages name it.
        :param users: asked for who still uses it.
        :param timeout_s: how long it is waited for; by default :attr:`timeout_s`.
        :raises DrainTimeout: it is still in use; the removal goes on.
        :raises TgtError: it is gone, but not as it should be.
        """
        task = asyncio.ensure_future(removal)
        self._under_way[task] = key, what
        task.add_done_callback(self._under_way.pop)
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout_s)
        finally:  # also when who waits is given up
            if not task.done():
                task.add_done_callback(lambda late: _report(what, late))
        if not done:
            holders = users()
            state = f"in use after {timeout_s:g} s by: {', '.join(holders)}"
            if not holders:
                state = f"there after {timeout_s:g} s, although nobody uses it: its store or its driver hangs"
            raise DrainTimeout(f"{what} is still {state}", holders)
        error = task.exception()
        if error is None:
            return
        if isinstance(error, TgtError):
            raise error
        _log.error("%s was not removed cleanly", what, exc_info=error)
        raise StoreError(f"{what} was not removed cleanly: {type(error).__name__}: {error}") from error

    async def give_up(self) -> list[str]:
        """End every removal that is still under way; returns what was to be removed."""
        late = {task: what for task, (_, what) in self._under_way.items()}
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return [f"{what}: its removal has not ended" for what in late.values()]


def _report(what: str, late: "asyncio.Task[None]") -> None:
    """A removal that nobody waits for any more has ended."""
    if late.cancelled():
        return
    if late.exception() is None:
        _log.info("%s is gone now", what)
    else:
        _log.error("%s was not removed cleanly", what, exc_info=late.exception())
