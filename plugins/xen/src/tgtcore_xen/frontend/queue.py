"""A front end at work: its ring, its event channel, and the requests that have no answer yet."""

import asyncio
from collections import deque
from typing import NamedTuple

from tgtcore_xen.frontend.buffers import RequestMemory
from tgtcore_xen.platform.emulated import EmulatedGuest
from tgtcore_xen.vscsiif.errors import Malformed, RingBroken
from tgtcore_xen.vscsiif.layout import CDB_BYTES, SLOTS, Act, Direction
from tgtcore_xen.vscsiif.request import Request
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.results import SUCCEEDED, Host, host_of, result, status_of
from tgtcore_xen.vscsiif.ring import FrontRing

Address = tuple[int, int, int]
"""Channel, target and LUN of a virtual device."""


class Broken(ConnectionError):
    """The back end has done what it must not, and the front end is out of order for good; the message says what."""


class Outcome(NamedTuple):
    """How a request has ended.

    :param data: what is in the memory for data-in.
    :param residual: bytes of it that were not used.
    """

    host: int
    status: int
    data: bytes
    sense: bytes
    residual: int
    result: int
    """The whole field."""


class Pending:
    """A request that was sent."""

    def __init__(self, rqid: int, memory: RequestMemory, loop: asyncio.AbstractEventLoop) -> None:
        self.rqid = rqid
        self.memory = memory
        self.done: asyncio.Future[Outcome] = loop.create_future()
        """Its end; ConnectionError when there is none."""

    def end(self, data: bytes, field: int, residual: int = 0, sense: bytes = b"") -> None:
        """It has ended."""
        outcome = Outcome(host_of(field), status_of(field), data, sense, residual, field)
        if not self.done.done():
            self.done.set_result(outcome)

    def fail(self, why: Exception) -> None:
        """It never ends."""
        if not self.done.done():
            self.done.set_exception(why)
            self.done.exception()  # nobody has to look


class RequestQueue:
    """One ring and event channel, from the beginning to the end of a connection."""

    def __init__(self, guest: EmulatedGuest) -> None:
        self._guest = guest
        self._page = guest.page()
        self._ring = FrontRing(self._page.view)
        self.reference = guest.grant(self._page)
        """Of the ring's page."""
        self._channel = guest.channel(self.look)
        self.error: str | None = None
        """Why it is out of order."""
        self.pending: dict[int, Pending] = {}
        """Requests without an answer, by rqid."""
        self.answers = 0
        self.wakings = 0
        """How often the back end has notified."""
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

    # ---- requests ---------------------------------------------------------------------------------------------------------

    async def room(self) -> None:
        """Wait until a request can be sent.

        :raises ConnectionError: none ever can.
        """
        while True:
            self._check()
            if self.has_room:
                return
            turn = self._guest.loop.create_future()
            self._waiting.append(turn)
            await turn

    @property
    def has_room(self) -> bool:
        """Whether a request can be sent now."""
        return len(self.pending) < SLOTS and self._ring.room > 0

    def _check(self) -> None:
        if self.error is not None:
            raise Broken(self.error)
        if self._closed:
            raise ConnectionResetError("the front end is not connected")

    def command(
        self,
        address: Address,
        cdb: bytes,
        *,
        data_out: bytes = b"",
        room: int = 0,
        offset: int = 0,
        submit: bool = True,
    ) -> Pending:
        """Send a command; there is room for it.

        :param room: how much data-in may come.
        :param offset: where in its first page the data begins.
        :param submit: whether the back end is told of it at once; if not, it is of the next one.
        """
        self._check()
        memory = RequestMemory(self._guest, len(data_out) or room, offset=offset, data_out=data_out or None)
        direction = Direction.TO_DEVICE if data_out else Direction.FROM_DEVICE if room else Direction.NONE
        channel, target, lun = address
        rqid = self._rqid()
        request = Request(
            rqid,
            Act.COMMAND,
            channel,
            target,
            lun,
            cdb.ljust(CDB_BYTES, b"\0"),
            direction,
            segments=memory.segments,
            indirect=memory.indirect,
        )
        return self._send(request.build(len(cdb)), Pending(rqid, memory, self._guest.loop), submit=submit)

    def manage(self, act: Act, address: Address, victim: int = 0) -> Pending:
        """Send an abort or a reset; there is room for it.

        :param victim: rqid of what is to be aborted.
        """
        self._check()
        rqid = self._rqid()
        request = Request(rqid, act, *address, ref_rqid=victim)
        return self._send(request.build(), Pending(rqid, RequestMemory(self._guest, 0), self._guest.loop), submit=True)

    def _rqid(self) -> int:
        return next(rqid for rqid in range(SLOTS) if rqid not in self.pending)

    def _send(self, slot: bytes, pending: Pending, *, submit: bool) -> Pending:
        self.pending[pending.rqid] = pending
        self._ring.put(slot)
        if submit:
            self.submit()
        return pending

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
                    self._answer(Response.parse(slot))
                if not self._ring.rest():
                    break
        except (Malformed, RingBroken, OSError, LookupError) as error:
            self.give_up(str(error))
        self._wake()

    def _answer(self, response: Response) -> None:
        pending = self.pending.get(response.rqid)
        if pending is None:
            raise LookupError(f"illegal rqid {response.rqid} returned by back end")
        data = pending.memory.data()
        pending.memory.end()
        del self.pending[response.rqid]
        pending.end(data, *response[1:])
        self.answers += 1

    def _wake(self) -> None:
        while self._waiting and (self.has_room or self.error is not None or self._closed):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                if not (self.error is not None or self._closed):
                    break

    # ---- the end ----------------------------------------------------------------------------------------------------------

    def give_up(self, why: str) -> None:
        """Be out of order for good."""
        self.error = self.error or why
        for pending in self.pending.values():
            pending.fail(Broken(self.error))
        self._wake()

    def reset(self) -> None:
        """Every request ends as if the bus had been reset, for the back end has no answer for it any more."""
        for pending in self.pending.values():
            pending.end(b"", result(Host.RESET))
        self._abandon()

    def lose(self, why: Exception) -> None:
        """No request ends any more: the guest has gone."""
        for pending in self.pending.values():
            pending.fail(why)
        self.pending.clear()
        self._closed = True
        self._wake()

    def close(self) -> None:
        """Let go of ring and event channel; the page goes when the back end has it mapped no more.  Idempotent."""
        if self._closed:
            return
        for pending in self.pending.values():
            pending.fail(ConnectionResetError("the front end was closed"))
        self._abandon()
        self._ring.release()
        self._channel.close()
        self._guest.revoke_later(self._page, self.reference)
        self._closed = True
        self._wake()

    def _abandon(self) -> None:
        for pending in self.pending.values():
            pending.memory.end()
        self.pending.clear()


def succeeded(outcome: Outcome) -> bool:
    """Whether an abort or a reset was done."""
    return outcome.result == SUCCEEDED
