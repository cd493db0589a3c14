"""A front end's ring and event channel, whatever is spoken on them."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque

from tgtcore_xen.platform.emulated import EmulatedGuest
from tgtcore_xen.vscsiif.errors import Malformed, RingBroken
from tgtcore_xen.vscsiif.ring import FrontRing


class Broken(ConnectionError):
    """The back end has done what it must not, and the front end is out of order for good; the message says what."""


class GuestRing(ABC):
    """One ring and event channel, from the beginning to the end of a connection."""

    def __init__(self, guest: EmulatedGuest) -> None:
        self.error: str | None = None
        """Why it is out of order."""
        self.wakings = 0
        """How often the back end has notified."""
        self._guest = guest
        self._page = guest.page()
        self._ring = FrontRing(self._page.view)
        self.reference = guest.grant(self._page)
        """Of the ring's page."""
        self._channel = guest.channel(self.look)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @property
    def port(self) -> int:
        """Of the event channel."""
        return self._channel.port

    @property
    def notifications(self) -> int:
        """How often it has notified the back end."""
        return self._channel.notified

    # ---- what a protocol says ---------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def has_room(self) -> bool:
        """Whether a request can be sent now."""

    @abstractmethod
    def _answer(self, slot: bytes) -> None:
        """Take a response.

        :raises Exception: of :data:`_WRONG`: it is one that must not be.
        """

    @abstractmethod
    def _fail(self, why: Exception) -> None:
        """Whoever waits for an answer gets none."""

    @abstractmethod
    def _abandon(self) -> None:
        """Let go of the memory of all requests that have no answer."""

    @abstractmethod
    def reset(self) -> None:
        """The guest goes on after it was suspended: no request has an answer any more, and the memory of all is free."""

    # ---- requests ---------------------------------------------------------------------------------------------------------

    async def room(self) -> None:
        """Wait until a request can be sent.

        :raises ConnectionError: none ever can.
        """
        while True:
            self.check()
            if self.has_room:
                return
            turn = self._guest.loop.create_future()
            self._waiting.append(turn)
            await turn

    def check(self) -> None:
        """Whether requests can be sent some time.

        :raises ConnectionError: none ever can.
        """
        if self.error is not None:
            raise Broken(self.error)
        if self._closed:
            raise ConnectionResetError("the front end is not connected")

    def submit(self) -> None:
        """Tell the back end of what was sent, if it wants to be told."""
        if self._ring.publish():
            self._channel.notify()

    # ---- responses --------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take responses until there are none."""
        self.wakings += 1
        if self._closed or self.error is not None:
            return
        try:
            while True:
                for slot in self._ring.take():
                    self._answer(slot)
                if not self._ring.rest():
                    break
        except _WRONG as error:
            self.give_up(str(error))
        self._wake()

    def _wake(self) -> None:
        """Let those go on who wait for room, one after the other."""
        while self._waiting and (self.has_room or self.error is not None or self._closed):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                if self.error is None and not self._closed:
                    break

    # ---- the end ----------------------------------------------------------------------------------------------------------

    def give_up(self, why: str) -> None:
        """Be out of order for good."""
        self.error = self.error or why
        self._fail(Broken(self.error))
        self._wake()

    def lose(self, why: Exception) -> None:
        """No request ends any more: the guest has gone."""
        self._fail(why)
        self._closed = True
        self._wake()

    def close(self) -> None:
        """Let go of ring and event channel; the page goes when the back end has it mapped no more.  Idempotent."""
        if self._closed:
            return
        self._fail(ConnectionResetError("the front end was closed"))
        self._abandon()
        self._ring.release()
        self._channel.close()
        self._guest.revoke_later(self._page, self.reference)
        self._closed = True
        self._wake()


class Violated(Exception):
    """A response that must not be; the message says why."""


_WRONG = (Violated, Malformed, RingBroken, OSError)
