"""When a virtual HBA is looked at: whenever something has changed, but not more often than others can bear."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tgtcore_xen.keeping.pace import Pace

_log = logging.getLogger(__name__)


class Looking:
    """Has one virtual HBA looked at, again and again.

    :param name: for the log.
    :param look: does all that can be done now; whether there is to be another look.
    :param again_s: after how long it is looked at again where that has failed.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], Awaitable[bool]],
        pace: Pace,
        again_s: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.store_fails = False
        """Whether the xenstore has failed at the last look."""
        self._name = name
        self._look = look
        self._pace = pace
        self._again_s = again_s
        self._loop = loop
        self._changed = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self.task = loop.create_task(self._run())
        """Ends after the last look."""

    def wake(self) -> None:
        """Something is different: look again."""
        self._changed.set()

    def later(self, delay_s: float) -> None:
        """Look again after so many seconds."""
        self._loop.call_later(delay_s, self._changed.set)

    def count(self) -> None:
        """Something was done at this look, and there is going to be more: that counts as another look."""
        self._pace.count()

    async def until_looked(self) -> None:
        """Wait until it was looked at once more."""
        looked = self._loop.create_future()
        self._waiting.append(looked)
        await looked

    async def _run(self) -> None:
        while await self._again():
            self._tell()
            await self._changed.wait()
            await asyncio.sleep(self._pace.wait_s())
        self._tell()

    async def _again(self) -> bool:
        """Look; whether to go on with that."""
        self._changed.clear()
        began = self._loop.time()
        try:
            goes_on = await self._look()
            self.store_fails = False
        except OSError as error:
            if not self.store_fails:
                _log.warning("%s: the xenstore fails: %s; it is tried again and again", self._name, error)
            self.store_fails = True
        except Exception:
            _log.exception("%s: this failed; it is tried again and again", self._name)
        else:
            return goes_on
        finally:
            self._pace.took(self._loop.time() - began)
        self.later(self._again_s)
        return True

    def _tell(self) -> None:
        """Who waits may look at what there is now."""
        waiting, self._waiting = self._waiting, []
        for looked in waiting:
            if not looked.done():
                looked.set_result(None)
