"""A front end that speaks SRP on its ring."""

import asyncio
from typing import NamedTuple

from tgtcore_srp.fabric import Segment
from tgtcore_srp.initiator.channel import InitiatorChannel
from tgtcore_srp.initiator.rules import Rules
from tgtcore_srp.initiator.violation import Violation
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.login import LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.opcodes import BufferFormats, ResponseCode, TaskManagementFunction
from tgtcore_srp.iu.response import Response

from tgtcore_xen.frontend.buffers import RequestMemory
from tgtcore_xen.frontend.driver import Driver
from tgtcore_xen.frontend.ring import GuestRing, Violated
from tgtcore_xen.platform.emulated import EmulatedGuest
from tgtcore_xen.srp.layout import IU_BYTES_MAX, PROTOCOL, build_slot, parse_slot

_LISTED_MAX = (IU_BYTES_MAX - 48 - 20) // 16
"""So many memory descriptors fit into a command."""


class Rejected(ConnectionRefusedError):
    """The login was rejected.

    :param reason: one of :class:`~tgtcore_srp.iu.opcodes.RejectReason`.
    """

    def __init__(self, reason: int) -> None:
        super().__init__(f"the login was rejected: {reason:#x}")
        self.reason = reason


class Ended(NamedTuple):
    """How a command has ended.

    :param data: what is in the memory for data-in.
    """

    response: Response
    data: bytes


class Begun:
    """A command that was sent.

    :param tag: by which it can be aborted.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, memory: RequestMemory) -> None:
        self.tag = 0
        self.done: asyncio.Future[Ended] = loop.create_future()
        """Its end; ConnectionError when there is none."""
        self.memory = memory

    def end(self, response: Response | None) -> None:
        """It has ended; None: without an answer."""
        data = self.memory.data()
        self.memory.end()
        if self.done.done():
            return
        if response is None:
            self.done.set_exception(ConnectionAbortedError("the command has ended without an answer"))
            self.done.exception()  # nobody has to look
        else:
            self.done.set_result(Ended(response, data))


class SrpRing(GuestRing):
    """A ring with information units."""

    def __init__(self, guest: EmulatedGuest) -> None:
        super().__init__(guest)
        self.initiator = InitiatorChannel(self._send, Rules(may_request=False))
        self.silent = 0
        """How many slots came back without an answer."""

    @property
    def has_room(self) -> bool:
        """Whether a command can be sent now."""
        return self.initiator.room > 0 and self._ring.room > 1

    def log_in(self, initiator_port: bytes) -> "asyncio.Future[LoginResponse | LoginReject | None]":
        """Log in; how the target has decided."""
        decided: asyncio.Future[LoginResponse | LoginReject | None] = self._guest.loop.create_future()

        def decide(answer: LoginResponse | LoginReject | None) -> None:
            if not decided.done():
                decided.set_result(answer)

        formats = BufferFormats.DIRECT | BufferFormats.INDIRECT
        self.initiator.login(LoginRequest(1, IU_BYTES_MAX, formats, initiator_port, bytes(16)), decide)
        return decided

    def command(self, lun: int, cdb: bytes, *, data_out: bytes = b"", room: int = 0, offset: int = 0) -> Begun:
        """Send a command; there is room for it."""
        self.check()
        memory = RequestMemory(self._guest, len(data_out) or room, offset=offset, data_out=data_out or None)
        begun = Begun(self._guest.loop, memory)
        descriptor = _descriptor(memory) if memory.segments else None
        out, in_ = (descriptor, None) if data_out else (None, descriptor)
        begun.tag = self.initiator.command(lun << 48, cdb.ljust(16, b"\0"), begun.end, out, in_)
        return begun

    def manage(self, function: TaskManagementFunction, lun: int, task_tag: int = 0) -> "asyncio.Future[bool]":
        """Send a task management function; whether it was done."""
        self.check()
        done: asyncio.Future[bool] = self._guest.loop.create_future()

        def end(response: Response | None) -> None:
            if not done.done():
                done.set_result(response is not None and response.code == ResponseCode.COMPLETE)

        self.initiator.manage(function, lun << 48, end, task_tag=task_tag)
        return done

    def _send(self, unit: bytes) -> None:
        self._ring.put(build_slot(unit))
        self.submit()

    def _answer(self, slot: bytes) -> None:
        unit = parse_slot(slot)
        if not len(unit):
            self.silent += 1
            return
        try:
            self.initiator.receive(unit)
        except Violation as error:
            raise Violated(str(error)) from error

    def reset(self) -> None:
        """There is no session any more."""
        self.initiator.lost()

    def _fail(self, why: Exception) -> None:
        self.initiator.lost()

    def _abandon(self) -> None:
        """The initiator has told every command that it has ended, and that has let go of its memory."""


def _descriptor(memory: RequestMemory) -> BufferDescriptor:
    segments = tuple(Segment(offset, reference, length) for reference, offset, length in memory.segments)
    if len(segments) == 1:
        return BufferDescriptor.direct(segments[0])
    ((reference, offset, length),) = memory.add_table(build_table(segments))
    listed = len(segments) if len(segments) <= _LISTED_MAX else 0
    return BufferDescriptor.indirect(Segment(offset, reference, length), segments, listed)


class SrpFrontEnd(Driver[SrpRing]):
    """Logs in when it is connected; the virtual devices in the store are for people."""

    protocol = PROTOCOL

    def make_ring(self) -> SrpRing:
        """See :class:`Driver`."""
        return SrpRing(self.guest)

    async def log_in(self, timeout_s: float = 10) -> LoginResponse:
        """Connect, and log in.

        :raises ConnectionRefusedError: the back end does not want that; :class:`Rejected`: it says why.
        :raises TimeoutError: it says nothing.
        """
        await self.connect(timeout_s)
        if self.queue is None:
            raise ConnectionResetError(f"{self.folder} is not connected")
        async with asyncio.timeout(timeout_s):
            answer = await self.queue.log_in(self.guest.uuid.encode()[:16])
        if answer is None:
            raise ConnectionResetError("the front end was closed")
        if isinstance(answer, LoginReject):
            raise Rejected(answer.reason)
        return answer

    async def begin(self, lun: int, cdb: bytes, *, data_out: bytes = b"", room: int = 0, offset: int = 0) -> Begun:
        """Send a command, as soon as there is room for it.

        :param room: how much data-in may come.
        :param offset: where in its first page the data begins.
        :raises ConnectionError: it can't be sent.
        """
        return (await self.ready()).command(lun, cdb, data_out=data_out, room=room, offset=offset)

    async def execute(self, lun: int, cdb: bytes, *, data_out: bytes = b"", room: int = 0, offset: int = 0) -> Ended:
        """Run a command to its end; see :meth:`begin`."""
        return await (await self.begin(lun, cdb, data_out=data_out, room=room, offset=offset)).done

    async def manage(self, function: TaskManagementFunction, lun: int, task_tag: int = 0) -> bool:
        """Have a task management function done; whether it was."""
        if self.queue is None:
            raise ConnectionResetError(f"{self.folder} is not connected")
        return await self.queue.manage(function, lun, task_tag)

    def log_out(self) -> None:
        """End the session; the ring stays until it is closed."""
        if self.queue is not None:
            self.queue.initiator.logout()
