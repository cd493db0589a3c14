"""A transport behind a ring, with both ends on one loop: as in a process of its own, but within reach of a test.

What the transport does, the messages of the ring and what the core makes of them are the same as with ``isolation = "process"``;
there is only no process.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from tgtcore.errors import ConfigError, RingError
from tgtcore.isolation import ring_driver
from tgtcore.isolation.driver_process import DriverProcess
from tgtcore.ring import Attached, accept_driver, attach
from tgtcore.transport import Host, Transport

MakeTransport = Callable[[Host], Transport]
"""Makes a transport that has not been started."""

_NAME = "tested"


class DriverOnThisLoop(ring_driver.RingDriver):
    """A transport behind a ring, as the daemon deals with it.

    :param host: the core; the transport gets another host, which asks this one over the ring.
    :param make: makes the transport.  One more is made only to learn its class and options.
    """

    def __init__(self, host: Host, make: MakeTransport) -> None:
        self._make = make
        self._model = make(host)
        self._far_side: _FarSide | None = None
        self._serving: asyncio.Task[None] | None = None
        super().__init__(_NAME, host, self._model.options)

    @property
    def transport(self) -> Transport:
        """The transport behind the ring, once it was started."""
        assert self._far_side is not None, "it was not started"
        assert self._far_side.transport is not None, "it has no options yet"
        return self._far_side.transport

    async def start(self) -> None:
        """Attach the transport and let it open its portals; one that has stopped listening opens them again.

        :raises ConfigError: it can't open a portal; nothing is left of it.
        """
        self._listening = True
        if self._serving is not None:
            await self._listen_again()
            return
        self._news.follow()
        link, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._serving = asyncio.create_task(self._serve_far_side(far_end))
        try:
            peer = os.getpid(), os.getuid()
            await self._bring_to_work(self._take_in(await accept_driver(link, ring_driver.GEOMETRY, peer)))
        except (RingError, OSError) as error:
            await self.abandon()
            raise ConfigError(str(error)) from error

    async def close(self) -> None:
        """Let it end every session, then let go of it."""
        await self._say_close(None)
        await self.abandon()

    async def abandon(self) -> None:
        """Let go of everything, whatever state it is in; idempotent."""
        self._part()
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.cancel()
            await asyncio.wait({serving})
        self._forget()

    def _gone(self) -> None:
        """The far side notices by itself."""

    def _about(self) -> dict[str, Any]:
        return {"pid": os.getpid()}

    async def _serve_far_side(self, link: socket.socket) -> None:
        with link:
            attached = await asyncio.to_thread(attach, link, _NAME)
            self._far_side = far_side = _FarSide(self._make, self._model, attached, self._serve_core)
            try:
                await far_side.ended
            finally:
                far_side.leave()

    def _serve_core(self) -> None:
        if self.attendant is not None:
            self.attendant.end.serve_now()


class _FarSide(DriverProcess):
    """What is in a driver process otherwise."""

    def __init__(
        self, make: MakeTransport, model: Transport, attached: Attached, serve_core: Callable[[], None]
    ) -> None:
        super().__init__(_NAME, type(model), attached, asyncio.get_running_loop())
        self._make = make
        self._model = model
        self._correspondent.end.before_waiting = serve_core

    def make_transport(self, options: BaseModel) -> Transport:
        """One of the test's own, which knows its options; but they must come through."""
        assert options == self._model.options, f"as JSON, {self._model.options!r} became {options!r}"
        return self._make(self._host)

    def leave(self) -> None:
        """Let go of the ring."""
        self._loop.remove_reader(self._link)
        self._correspondent.end.close()
