"""A transport in a process of its own: started by the daemon, and started anew when it dies or hangs."""

import asyncio
from typing import Any

from pydantic import BaseModel

from tgtcore.errors import ConfigError, RingError
from tgtcore.isolation.attendant import HUNG_UP
from tgtcore.isolation.child import Child
from tgtcore.isolation.events import Refused
from tgtcore.isolation.log_allowance import LogAllowance
from tgtcore.isolation.orders import Orders
from tgtcore.isolation.privileges import user_ids
from tgtcore.isolation.ring_driver import GEOMETRY, PATIENCE, Patience, RingDriver
from tgtcore.ring import accept_driver
from tgtcore.transport import Host

_EXIT_S = 5.0
"""How long a process may take to end, by itself or after SIGKILL."""
_LAST_WORDS_S = 1.0
"""How long to wait for the end of a process that has hung up, to tell how it has ended."""


class ProcessDriver(RingDriver):
    """A transport in a process of its own.

    :param orders: what the process is told.
    :param host: what the transport may ask for.
    :param patience: with a process that dies or hangs.
    """

    reloads = True

    def __init__(self, orders: Orders, host: Host, options: BaseModel, patience: Patience = PATIENCE) -> None:
        super().__init__(orders.transport, host, options, patience)
        self.child: Child | None = None
        """The process, while there is one."""
        self.starts = 0
        """How often a process was started."""
        self._orders = orders
        self._log_allowance = LogAllowance(host.loop.time)
        self._state = "starting"
        self._last_end = ""
        """How the process before has ended."""
        self._deaths = 0
        self._closing = False
        self._keeping: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        """Set, and replaced, whenever it was tried to start another process."""

    async def start(self) -> None:
        """Start the process and let it open its portals; from now on another one is started whenever it ends.

        One that has stopped listening opens them again.

        :raises ConfigError: it can't be started, or can't open a portal; nothing is left of it.
        """
        self._listening = True
        if self._keeping is not None:
            await self._listen_again()
            return
        self._news.follow()
        try:
            await self._launch()
        except BaseException:
            await self._end(at_once=True)
            raise
        self._keeping = self._host.loop.create_task(self._keep())

    async def _launch(self) -> None:
        """One process from its start to its first portal."""
        self.starts += 1
        self._state, self._dropped = "starting", ""
        uid = user_ids(self._orders.user)[0] if self._orders.user else 0
        child: Child | None = None
        try:
            child = self.child = Child(self._orders, self._host.loop, self._log, self._log_allowance, self._ended)
            attendant = self._take_in(await accept_driver(child.link, GEOMETRY, peer=(child.pid, uid)))
            await self._bring_to_work(attendant)
        except (RingError, OSError) as error:
            raise ConfigError(await self._why(child, error)) from error
        self._state = "serving"

    async def _why(self, child: Child | None, error: Exception) -> str:
        """Why a process could not be brought to its work."""
        if child is None or isinstance(error, Refused):
            return str(error)
        if self._dropped not in ("", HUNG_UP):
            return self._dropped
        if not isinstance(error, TimeoutError):
            await asyncio.wait({child.exited}, timeout=_LAST_WORDS_S)
        if child.exited.done() and child.exited.result() >= 0:
            return f"the driver process {child.how_it_ended()}"
        return self._dropped or str(error) or "the driver process does not answer"

    def _gone(self) -> None:
        """Its process must not outlive the ring."""
        if self.child is not None:
            self.child.kill()

    def _ended(self) -> None:
        """The process has ended."""
        assert self.child is not None
        self._last_end = self.child.how_it_ended()
        self._part()
        self.child = None

    async def _keep(self) -> None:
        """Start another process whenever one has ended."""
        while True:
            began = self._host.loop.time()
            await self._watch()
            if self._closing:
                return
            if self._host.loop.time() - began >= self._patience.well_s:
                self._deaths = 0
            self._deaths += 1
            wait_s = self._patience.wait_s(self._deaths)
            self._state = "waiting"
            when = f"in {wait_s:.1f} s" if wait_s else "at once"
            self._log.error("the driver process %s; another one is started %s", self._last_end, when)
            await asyncio.sleep(wait_s)
            try:
                await self._launch()
            except Exception as error:
                self._log.error("the driver process could not be started: %s", error or type(error).__name__)
                await self._end_process(at_once=True)
            else:
                self._log.info("the driver process serves again")
            tried, self._tried = self._tried, asyncio.Event()
            tried.set()

    async def _watch(self) -> None:
        """Until the process has ended; one that hangs is dropped, and ends of that."""
        while self.child is not None:
            exited = self.child.exited
            await asyncio.wait({exited}, timeout=self._patience.pulse_s)
            if not exited.done():
                await self._refresh_ports()

    async def reload(self, options: BaseModel, timeout_s: float) -> str:
        """Start the process anew: portals stay open, sessions end, and initiators log in again.

        :raises ConfigError: it can't be started; it is tried again and again.
        """
        self._options = options
        self._deaths = 0
        tried, child = self._tried, self.child
        if child is not None:
            await self._say_close(timeout_s + self._patience.answer_s)
            await asyncio.wait({child.exited}, timeout=_EXIT_S)
            child.kill()
        await tried.wait()
        if self.attendant is None:
            raise ConfigError(
                f"transport {self._orders.transport}: the new driver process does not serve yet; see the log"
            )
        return "a new driver process"

    async def close(self) -> None:
        """Let it end every session, then see that the process ends."""
        said = False
        self._closing = True  # it is still watched: one that hangs is not waited for
        try:
            said = await self._say_close(None)
        finally:
            await self._end(at_once=not said)

    async def _stop_keeping(self) -> None:
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def _end(self, *, at_once: bool) -> None:
        """See that nothing is left.

        :param at_once: end the process by SIGKILL; otherwise give it time to end by itself, now that its socket is closed.
        """
        await self._stop_keeping()
        self._state = "ended"
        await self._end_process(at_once=at_once)
        self._forget()

    async def _end_process(self, *, at_once: bool) -> None:
        self._part()
        child = self.child
        if child is None:
            return
        if not at_once:
            await asyncio.wait({child.exited}, timeout=_EXIT_S)
        child.kill()
        await asyncio.wait({child.exited}, timeout=_EXIT_S)
        if not child.exited.done():
            self._log.error("the driver process %d does not even end by SIGKILL", child.pid)

    def _about(self) -> dict[str, Any]:
        """Of the process."""
        return {
            "state": self._state,
            "pid": self.child.pid if self.child else None,
            "starts": self.starts,
            "last_end": self._last_end,
        }
