"""The session of a virtual HBA: begun, told of other logical units, retired, ended."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tgtcore_xen.keeping.line import Line
from tgtcore_xen.keeping.session import Session
from tgtcore_xen.xenbus.observed import Observed, Ring
from tgtcore_xen.xenbus.wanted import Link, Stage, followed


class Service:
    """At most one session at a time, and how far its connection has come.

    :param later: have it looked at again after so many seconds.
    :param again_s: after how long a target is asked again that has not told its logical units.
    """

    def __init__(self, later: Callable[[float], None], again_s: float) -> None:
        self.session: Session | None = None
        self._line: Line | None = None
        """One that leads nowhere: the guest is answered, so that it can let go."""
        self.sessions = 0
        """How many there have been."""
        self.link: Link | None = None
        self.devices: Mapping[str, str] | None = None
        """The logical units that the guest finds, as :class:`~tgtcore_xen.xenbus.wanted.Wanted` has them."""
        self.devices_stale = False
        """Whether there may be others."""
        self._later = later
        self._again_s = again_s
        self._closing: set[asyncio.Future[Any]] = set()

    def follow(self, observed: Observed) -> None:
        """The nodes were looked at."""
        self.link = followed(self.link, observed)
        if self.session is not None and self.link is not None and self.link.stage is Stage.USED:
            self.session.follow(observed)

    def announced(self) -> None:
        """The front end is told that it is connected."""
        if self.link is not None and self.link.stage is Stage.MADE:
            self.link = self.link._replace(stage=Stage.ANNOUNCED)

    async def begin(self, session: Session, ring: Ring, note: Callable[[], Awaitable[None]]) -> bool:
        """Serve a ring; whether that is still so when it has begun.

        :param note: have it written down whose target is served, before anything is.
        """
        self.session, self.link = session, Link(ring)
        self.sessions += 1
        try:
            await note()
        except OSError:
            await self.end(keep=True)
            raise
        await self._find_devices(session)
        if self.session is session or self._line is session.line:
            session.connection.start()
        return self.session is session

    def answer(self, line: Line, ring: Ring) -> None:
        """Answer a guest that is to let go of a ring, and serve nothing of what it wants."""
        self._line, self.link = line, Link(ring)
        line.connection.start()

    async def refresh(self) -> None:
        """Ask for the logical units if there may be others."""
        if self.devices_stale and self.session is not None:
            self.devices_stale = False
            await self._find_devices(self.session)

    async def _find_devices(self, session: Session) -> None:
        devices = await session.find_devices()
        if self.session is not session:
            return
        if devices is None:
            self.devices_stale = True
            self._later(self._again_s)
        else:
            self.devices = devices

    def retire(self) -> None:
        """Have no session, but go on answering the guest, so that it can let go; without effect where there is none."""
        session = self._no_session()
        if session is not None:
            self._line = session.line
            self._is_ending(session.retire())

    @property
    def is_ending(self) -> bool:
        """Whether commands of a session that is over have not ended; when they have it is looked at again."""
        return bool(self._closing)

    async def ended(self) -> None:
        """Returns when the last command has ended of all that were there."""
        if self._closing:
            await asyncio.wait(set(self._closing))

    async def end(self, *, keep: bool) -> None:
        """Have no session, and answer nobody; returns when the last command has ended, whoever has begun that.

        :param keep: see :meth:`Session.close`.
        """
        for one in (self._no_session(), self._line):
            if one is not None:
                self._is_ending(one.close(keep=keep))
        self._line = self.link = None
        await self.ended()

    def _no_session(self) -> Session | None:
        session, self.session = self.session, None
        self.devices, self.devices_stale = None, False
        return session

    def _is_ending(self, end: asyncio.Future[Any]) -> None:
        self._closing.add(end)
        end.add_done_callback(self._has_ended)

    def _has_ended(self, end: asyncio.Future[Any]) -> None:
        self._closing.discard(end)
        self._later(0)
