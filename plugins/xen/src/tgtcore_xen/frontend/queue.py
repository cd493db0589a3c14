"""The requests of virtual SCSI that have no answer yet."""

import asyncio
from typing import NamedTuple

from tgtcore_xen.frontend.buffers import RequestMemory
from tgtcore_xen.frontend.ring import GuestRing, Violated
from tgtcore_xen.platform.emulated import EmulatedGuest
from tgtcore_xen.vscsiif.layout import CDB_BYTES, SEGMENTS, SLOTS, Act, Direction
from tgtcore_xen.vscsiif.request import Request
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.results import SUCCEEDED, Host, host_of, result, status_of
from tgtcore_xen.vscsiif.segments import build_segments

Address = tuple[int, int, int]
"""Channel, target and LUN of a virtual device."""


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


class RequestQueue(GuestRing):
    """A ring with the requests of virtual SCSI."""

    def __init__(self, guest: EmulatedGuest) -> None:
        super().__init__(guest)
        self.pending: dict[int, Pending] = {}
        """Requests without an answer, by rqid."""
        self.answers = 0

    @property
    def has_room(self) -> bool:
        """Whether a request can be sent now."""
        return len(self.pending) < SLOTS and self._ring.room > 0

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
        self.check()
        memory = RequestMemory(self._guest, len(data_out) or room, offset=offset, data_out=data_out or None)
        direction = Direction.TO_DEVICE if data_out else Direction.FROM_DEVICE if room else Direction.NONE
        channel, target, lun = address
        rqid = self._rqid()
        segments = memory.segments
        indirect = len(segments) > SEGMENTS
        if indirect:
            segments = memory.add_table(build_segments(segments))
        whole = cdb.ljust(CDB_BYTES, b"\0")
        request = Request(
            rqid, Act.COMMAND, channel, target, lun, whole, direction, segments=segments, indirect=indirect
        )
        return self._send(request.build(len(cdb)), Pending(rqid, memory, self._guest.loop), submit=submit)

    def manage(self, act: Act, address: Address, victim: int = 0) -> Pending:
        """Send an abort or a reset; there is room for it.

        :param victim: rqid of what is to be aborted.
        """
        self.check()
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

    def _answer(self, slot: bytes) -> None:
        response = Response.parse(slot)
        pending = self.pending.get(response.rqid)
        if pending is None:
            raise Violated(f"illegal rqid {response.rqid} returned by back end")
        data = pending.memory.data()
        pending.memory.end()
        del self.pending[response.rqid]
        pending.end(data, *response[1:])
        self.answers += 1

    def reset(self) -> None:
        """Every request ends as if the bus had been reset."""
        for pending in self.pending.values():
            pending.end(b"", result(Host.RESET))
        self._abandon()

    def _fail(self, why: Exception) -> None:
        for pending in self.pending.values():
            pending.fail(why)

    def _abandon(self) -> None:
        for pending in self.pending.values():
            pending.memory.end()
        self.pending.clear()


def succeeded(outcome: Outcome) -> bool:
    """Whether an abort or a reset was done."""
    return outcome.result == SUCCEEDED
