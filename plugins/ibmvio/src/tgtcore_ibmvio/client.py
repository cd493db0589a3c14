"""The virtual SCSI driver of a client partition, for tests, tools and measurements; its partition is an emulated one."""

import socket
import time
from collections import deque
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple, Self

from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.login import LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import BufferFormats, Opcode, TaskAttribute, TaskManagementFunction
from tgtcore_srp.iu.response import Response

from tgtcore_ibmvio.crq import Event
from tgtcore_ibmvio.crq.elements import FIELDS, INIT, INIT_COMPLETE, PING_RESPONSE, Format, Header, meaning
from tgtcore_ibmvio.options import IU_BYTES_MAX
from tgtcore_ibmvio.platform import Hcall
from tgtcore_ibmvio.platform.emulated.client import Call, ClientPartition, Hello

_PAGE = 4096
_WINDOW = 1 << 28
_IUS = _PAGE
"""Information units are behind the queue, which takes the first page; data is behind them."""
_TIMEOUT_S = 60


class Rejected(Exception):
    """The server has rejected the login.

    :param reason: of :class:`~tgtcore_srp.iu.opcodes.RejectReason`.
    """

    def __init__(self, reason: int) -> None:
        super().__init__(f"the login was rejected: {reason:#010x}")
        self.reason = reason


class Place(NamedTuple):
    """Memory of one request.

    :param iu: offset of its information unit.
    :param data: offset of its data.
    """

    iu: int
    data: int


class VioClient:
    """One client: it greets, logs in and runs commands; its methods wait, for ``timeout_s`` at most.

    :param link: a socket that is connected to an adapter's.
    :param requests: how many may be under way.
    :param data_bytes: memory for the data of each, in whole pages.
    :raises tgtcore_ibmvio.platform.emulated.client.Refused: the partition may not attach.
    """

    timeout_s = 20.0

    def __init__(
        self, link: socket.socket, name: str, number: int, *, requests: int = 64, data_bytes: int = 1 << 18
    ) -> None:
        self.link = link
        data_at = _IUS + -(-requests * IU_BYTES_MAX // _PAGE) * _PAGE
        size = data_at + requests * data_bytes
        self.partition = ClientPartition(link, Hello(number, name, size, _WINDOW, size))
        self.partition.map(_WINDOW, 0, size)
        self.memory = self.partition.memory
        self.data_bytes = data_bytes
        self.agreed: LoginResponse | None = None
        """What the login has granted."""
        self._free = deque(Place(_IUS + i * IU_BYTES_MAX, data_at + i * data_bytes) for i in range(requests))
        self._under_way: dict[int, Place] = {}
        self._next_tag = count(1).__next__
        self._elements: deque[bytes] = deque()

    @classmethod
    def attach(cls, path: Path, name: str = "client", number: int = 2, **memory: int) -> Self:
        """Attach to an adapter's socket.

        :raises OSError: there is none.
        """
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            link.connect(str(path))
            return cls(link, name, number, **memory)
        except BaseException:
            link.close()
            raise

    @staticmethod
    def address(offset: int) -> int:
        """Where the server finds an offset of :attr:`memory`."""
        return _WINDOW + offset

    # ---- the queue ----------------------------------------------------------------------------------------------------

    def connect(self, *, greet: bool = True) -> None:
        """Have a queue, and shake hands, unless the server is to begin with that.

        :raises ConnectionError: the machine gives none, or has gone.
        :raises TimeoutError: there is no server.
        """
        self._forget()
        answer = self.partition.call(Call.H_REG_CRQ, _WINDOW, _PAGE)
        if answer is Hcall.RESOURCE:  # there is one, of a session that has ended
            self.partition.call(Call.H_FREE_CRQ)
            answer = self.partition.call(Call.H_REG_CRQ, _WINDOW, _PAGE)
        if answer not in (Hcall.SUCCESS, Hcall.CLOSED):
            raise ConnectionError(f"the machine gives no queue: {answer.name}")
        if greet:
            self.partition.send(INIT)
            self.shake_hands()

    def _forget(self) -> None:
        """What was under way has no answer any more."""
        self._free.extend(self._under_way.values())
        self._under_way.clear()
        self._elements.clear()

    def shake_hands(self) -> None:
        """Wait for the other side's part of the handshake.

        :raises ConnectionError: the server has gone.
        :raises TimeoutError: there is no server.
        """
        while self._event() not in (Event.INIT, Event.INIT_COMPLETE):
            pass

    def _event(self) -> Event:
        """What the next element means; handshakes and pings are answered.

        :raises ConnectionError: the partner has gone.
        """
        header, format_, status, *_ = FIELDS.unpack(self._take())
        event = meaning(header, format_, status)
        if event is Event.PARTNER_GONE:
            raise ConnectionResetError("the server has gone")
        answer = {Event.INIT: INIT_COMPLETE, Event.PING: PING_RESPONSE}.get(event)
        if answer is not None:
            self.partition.send(answer)
        return event

    def _take(self) -> bytes:
        if not self._elements:
            self._elements.extend(self.partition.receive(self.timeout_s))
            if not self._elements:
                raise TimeoutError(f"the server says nothing for {self.timeout_s:g} s")
        return self._elements.popleft()

    def send(self, format_: Format, iu: bytes, tag: int, *, length: int = IU_BYTES_MAX) -> None:
        """Put a request on its way.

        :raises ConnectionError: the server has no queue.
        """
        place = self._free.popleft()
        self.memory[place.iu : place.iu + len(iu)] = iu
        self._under_way[tag] = place
        element = FIELDS.pack(Header.COMMAND, format_, 0, _TIMEOUT_S, length, self.address(place.iu))
        until = time.monotonic() + self.timeout_s
        while (answer := self.partition.send(element)) is Hcall.DROPPED and time.monotonic() < until:
            time.sleep(0.001)
        if answer is not Hcall.SUCCESS:
            raise ConnectionResetError(f"the request can't be sent: {answer.name}")

    def receive(self) -> tuple[int, bytes]:
        """Tag and content of the next answer; its memory may be used again.

        :raises ConnectionError: the server has gone.
        """
        while True:
            element = self._elements[0] if self._elements else self._peek()
            header, format_, _, _, length, tag = FIELDS.unpack(element)
            if header == Header.COMMAND and format_ in (Format.SRP, Format.MAD):
                self._elements.popleft()
                place = self._under_way.pop(tag)
                self._free.append(place)
                return tag, bytes(self.memory[place.iu : place.iu + length])
            self._event()

    def _peek(self) -> bytes:
        self._elements.appendleft(self._take())
        return self._elements[0]

    def ask(self, format_: Format, iu: bytes, tag: int) -> bytes:
        """Send one request and wait for its answer; none may be under way."""
        self.send(format_, iu, tag)
        answered, answer = self.receive()
        if answered != tag:
            raise ConnectionError(f"an answer to {answered:#x}, expected {tag:#x}")
        return answer

    # ---- SRP ----------------------------------------------------------------------------------------------------------

    def log_in(self) -> LoginResponse:
        """Log in.

        :raises Rejected: the server does not want that.
        """
        tag = self._next_tag()
        formats = BufferFormats.DIRECT | BufferFormats.INDIRECT
        answer = self.ask(Format.SRP, LoginRequest(tag, IU_BYTES_MAX, formats, bytes(16), bytes(16)).build(), tag)
        if answer[0] == Opcode.LOGIN_REJ:
            raise Rejected(LoginReject.parse(answer).reason)
        self.agreed = LoginResponse.parse(answer)
        return self.agreed

    def begin(
        self, cdb: bytes, lun: int, *, data_out: bytes = b"", room: int = 0, pieces: int = 1, table_only: bool = False
    ) -> int:
        """Put a command on its way; returns its tag.

        :param lun: the LUN field as a number.
        :param pieces: in how many segments its data is.
        :param table_only: whether these are named in the client's memory only, and not in the command.
        """
        tag, place = self._next_tag(), self._free[0]
        self.memory[place.data : place.data + len(data_out)] = data_out
        size = len(data_out) or room
        descriptor = self._descriptor(place, size, pieces, table_only) if size else None
        out, in_ = (descriptor, None) if data_out else (None, descriptor)
        command = Command(tag, lun, TaskAttribute.SIMPLE, cdb.ljust(16, b"\0"), 0, out, in_)
        self.send(Format.SRP, command.build(), tag)
        return tag

    def _descriptor(self, place: Place, size: int, pieces: int, table_only: bool) -> BufferDescriptor:
        address = self.address(place.data)
        if pieces == 1:
            return BufferDescriptor.direct(Segment(address, 0, size))
        cuts = [size * i // pieces for i in range(pieces + 1)]
        segments = tuple(Segment(address + begin, 0, end - begin) for begin, end in pairwise(cuts))
        table = build_table(segments)
        at = place.data + self.data_bytes - len(table)
        self.memory[at : at + len(table)] = table
        return BufferDescriptor.indirect(Segment(self.address(at), 0, len(table)), segments, 0 if table_only else None)

    def execute(
        self, cdb: bytes, lun: int, *, data_out: bytes = b"", room: int = 0, pieces: int = 1, table_only: bool = False
    ) -> tuple[Response, bytes]:
        """Run a command to its end: its answer, and the memory for its data-in; see :meth:`begin`."""
        place = self._free[0]
        tag = self.begin(cdb, lun, data_out=data_out, room=room, pieces=pieces, table_only=table_only)
        answered, answer = self.receive()
        if answered != tag:
            raise ConnectionError(f"an answer to {answered:#x}, expected {tag:#x}")
        return Response.parse(answer), bytes(self.memory[place.data : place.data + room])

    def manage(self, function: TaskManagementFunction, lun: int, task_tag: int = 0) -> int:
        """Put a task management function on its way; returns its tag."""
        tag = self._next_tag()
        self.send(Format.SRP, TaskManagement(tag, lun, function, task_tag).build(), tag)
        return tag

    def log_out(self) -> None:
        """End the session as SRP has it."""
        tag = self._next_tag()
        self.send(Format.SRP, bytes((Opcode.I_LOGOUT,)).ljust(8, b"\0") + tag.to_bytes(8, "big"), tag)

    # ---- moves ----------------------------------------------------------------------------------------------------------

    def suspend(self) -> None:
        """Stop: every request gets its answer first, which is in the queue then, and none may be sent until :meth:`resume`.

        :raises TimeoutError: a request does not end.
        :raises ConnectionError: there is no server.
        """
        self._call(Call.PREPARE_FOR_SUSPEND)
        until = time.monotonic() + self.timeout_s
        while (answer := self.partition.call(Call.SUSPEND)) is Hcall.BUSY:
            if time.monotonic() > until:
                raise TimeoutError(f"the server is not ready for a suspension in {self.timeout_s:g} s")
            time.sleep(0.001)
        if answer is not Hcall.SUCCESS:
            raise ConnectionResetError(f"the machine does not suspend: {answer.name}")

    def resume(self) -> None:
        """Go on.

        :raises ConnectionError: there is no server.
        """
        self._call(Call.RESUME)

    def migrate(self) -> None:
        """Go to another machine and shake hands there; what was under way has no answer any more, and a new login is needed.

        :raises ConnectionError: there is no server.
        """
        self._call(Call.MIGRATE)
        while self._event() is not Event.MIGRATED:
            pass
        self._forget()
        self._call(Call.H_ENABLE_CRQ)
        self.partition.send(INIT)
        self.shake_hands()

    def _call(self, call: Call) -> None:
        answer = self.partition.call(call)
        if answer is not Hcall.SUCCESS:
            raise ConnectionResetError(f"{call.name}: {answer.name}")

    # ---- the end ------------------------------------------------------------------------------------------------------

    def vanish(self) -> None:
        """Break everything off, even while another thread waits in here."""
        try:
            self.link.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        """Detach; nobody may be waiting in here."""
        self.partition.close()
