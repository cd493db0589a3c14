"""The whole transport with a core behind it, on a loop and sockets that do what the test says: fast, and the same every time."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.digest import data_digest, digest, padded, padding
from tgtcore_iscsi.initiator.pdu import login_request, login_status, nop_out, parse_response
from tgtcore_iscsi.initiator.witness import Agreement, Witness
from tgtcore_iscsi.options import IscsiOptions, PortalOptions
from tgtcore_iscsi.pdu.codes import NO_TAG, LoginStatus, Opcode
from tgtcore_iscsi.session import before
from tgtcore_iscsi.text import encode_pairs, parse_pairs
from tgtcore_iscsi.transport import IscsiTransport

TURNS_MAX = 20_000
INITIATOR = "iqn.2026-11.org.example:tester"
TARGET = "iqn.2026-11.org.example:disk"


class Loop:
    """An event loop without time and without a system: turns are taken until nothing is left to do."""

    def __init__(self) -> None:
        self.ready: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.readers: dict[Socket, Callable[[], None]] = {}
        self.writers: dict[Socket, Callable[[], None]] = {}
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., None], *args: Any) -> None:
        self.ready.append((callback, args))

    def call_later(self, delay_s: float, callback: Callable[..., None], *args: Any) -> None:
        """Never: a test that wants to see the time pass calls the callback."""

    def add_reader(self, sock: "Socket", callback: Callable[[], None]) -> None:
        self.readers[sock] = callback

    def add_writer(self, sock: "Socket", callback: Callable[[], None]) -> None:
        self.writers[sock] = callback

    def remove_reader(self, sock: "Socket") -> None:
        self.readers.pop(sock, None)

    def remove_writer(self, sock: "Socket") -> None:
        self.writers.pop(sock, None)

    def run(self) -> None:
        """Take turns; a connection that keeps the loop busy for ever fails."""
        for _ in range(TURNS_MAX):
            if not self._turn():
                return
        raise AssertionError("the loop spins")

    def _turn(self) -> bool:
        done = bool(self.ready)
        while self.ready:
            callback, args = self.ready.popleft()
            callback(*args)
        for sock, callback in list(self.readers.items()):
            if sock.readable and sock in self.readers:
                callback()
                done = True
        for sock, callback in list(self.writers.items()):
            if sock.room and sock in self.writers:
                callback()
                done = True
        return done


class Socket:
    """The target's end of a connection whose other end is the test."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.room = 1 << 30
        """How much the peer is ready to take."""
        self.ended = False
        self.reset = False
        self.closed = False

    @property
    def readable(self) -> bool:
        return bool(self.incoming) or self.ended or self.reset

    def setblocking(self, flag: bool) -> None:
        """Never blocks."""

    def setsockopt(self, *args: int) -> None:
        """Has no options."""

    def shutdown(self, how: int) -> None:
        """The other end notices when everything is closed."""

    def getpeername(self) -> tuple[str, int]:
        return "192.0.2.1", self.port

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.2", 3260

    def recv_into(self, buffer: memoryview) -> int:
        assert len(buffer), "nothing can be received into no space"
        piece = self.recv(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def recv(self, length: int) -> bytes:
        if self.reset:
            raise ConnectionResetError(104, "Connection reset by peer")
        if not self.incoming and not self.ended:
            raise BlockingIOError
        piece = bytes(self.incoming[:length])
        del self.incoming[:length]
        return piece

    def sendmsg(self, buffers: list[Any], ancillary: tuple[()], flags: int) -> int:
        if self.reset:
            raise BrokenPipeError(32, "Broken pipe")
        data = b"".join(buffers)[: self.room]
        if not data:
            raise BlockingIOError
        self.room -= len(data)
        self.outgoing += data
        return len(data)

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        """What has been sent so far."""
        data = bytes(self.outgoing)
        self.outgoing.clear()
        return data


class Workers:
    """Threads of which the test says when they get on."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Callable[..., Any], tuple[Any, ...], Callable[..., None]]] = deque()

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], done: Callable[..., None]) -> None:
        self.jobs.append((function, args, done))

    def work(self, which: int = 0) -> None:
        """Do one of the jobs, not always the oldest."""
        if self.jobs:
            self.jobs.rotate(-(which % len(self.jobs)))
            function, args, done = self.jobs.popleft()
            done(function(*args), None)


class Portal:
    """A portal nobody listens at: connections are handed to the transport."""

    def __init__(self) -> None:
        self.options = PortalOptions(address="192.0.2.2:3260")
        self.group = 1
        self.listener = self
        self.address = Address("192.0.2.2", 3260)


@dataclass(frozen=True)
class Allowed:
    """What the initiator may do, as agreed in the login."""

    segment_max: int = 8192
    immediate_data: bool = True
    unsolicited: bool = False
    first_burst: int = 65536


class Peer:
    """One initiator's end of a connection."""

    def __init__(self, bench: "Bench", port: int) -> None:
        self.bench = bench
        self.socket = Socket(port)
        self.cmd_sn = 1
        self.tag = 0
        self.tsih = 0
        self.asked: dict[str, str] = {}
        self.agreement = Agreement()
        self.allowed = Allowed()
        self.witness = Witness(self.agreement, stat_sn=0)
        bench.accept(self.socket)
        channel: Any = bench.loop.readers[self.socket].__self__  # type: ignore[attr-defined]
        self.connection = channel.connection
        """The target's side."""

    @property
    def alive(self) -> bool:
        return not self.socket.closed

    @property
    def window_open(self) -> bool:
        last = self.witness.max_cmd_sn
        assert last is not None
        return not before(last, self.cmd_sn)

    def deliver(self, data: bytes) -> None:
        """Bytes on the wire."""
        self.socket.incoming += data
        self.bench.loop.run()

    def send(self, header: bytes, data: bytes = b"", *, header_digest: int = 0, data_digest_error: int = 0) -> None:
        """One request: header with additional headers, and data; digests are added, wrong by a number if asked for."""
        self.witness.sent(header)
        pdu = header
        if self.agreement.header_digest:
            pdu += _off_by(digest(header), header_digest)
        if data:
            pdu += data + padding(len(data))
            if self.agreement.data_digest:
                pdu += _off_by(data_digest((data,)), data_digest_error)
        self.deliver(pdu)

    def receive(self) -> list[Any]:
        """Every PDU that is here, checked."""
        return self.witness.received(self.socket.taken())

    def answer_pings(self) -> None:
        """Show that somebody is there."""
        for response in self.receive():
            if response.opcode is Opcode.NOP_IN and response.fields.ttt != NO_TAG:
                self.send(nop_out(itt=NO_TAG, ttt=response.fields.ttt, cmd_sn=self.cmd_sn, exp_stat_sn=0))

    def ask_to_log_in(self, isid: int, *, tsih: int = 0, cid: int = 0, **keys: str) -> None:
        """Ask for the full feature phase at once; the answer may have to wait for an older session's end."""
        self.asked = {"InitiatorName": INITIATOR, "TargetName": TARGET, "MaxRecvDataSegmentLength": "8192"}
        if not tsih:
            self.asked |= {"SessionType": "Normal", "InitialR2T": "No", "MaxOutstandingR2T": "4"}
        self.asked |= keys
        self.deliver(
            login_request(
                encode_pairs(self.asked.items()),
                flags=0x87,
                isid=isid.to_bytes(6, "big"),
                tsih=tsih,
                cid=cid,
                cmd_sn=self.cmd_sn,
            )
        )

    def login_answer(self) -> LoginStatus | None:
        """How the login has ended, None if it has not."""
        data = self.socket.taken()
        if not data:
            return None
        end = 48 + padded(int.from_bytes(data[5:8], "big"))
        response = parse_response(data[:end])
        status = login_status(response.fields)
        if status is LoginStatus.SUCCESS:
            self._logged_in(response, {**self.asked, **dict(parse_pairs(response.data))})
            self.socket.outgoing += data[end:]
        return status

    def log_in(self, isid: int, **keys: str) -> None:
        """Straight to the full feature phase."""
        self.ask_to_log_in(isid, **keys)
        assert self.login_answer() is LoginStatus.SUCCESS

    def _logged_in(self, response: Any, answer: dict[str, str]) -> None:
        self.tsih = response.fields.tsih
        self.agreement = Agreement(
            header_digest=answer.get("HeaderDigest") == "CRC32C",
            data_digest=answer.get("DataDigest") == "CRC32C",
            segment_max=int(self.asked["MaxRecvDataSegmentLength"]),
            burst_max=int(answer.get("MaxBurstLength", "262144")),
            r2t_max=int(answer.get("MaxOutstandingR2T", "4")),
            depth=self.bench.options.queue_depth,
        )
        self.allowed = Allowed(
            int(answer["MaxRecvDataSegmentLength"]),
            answer.get("ImmediateData", "Yes") == "Yes",
            answer.get("InitialR2T", "No") == "No",
            min(int(answer.get("FirstBurstLength", "65536")), self.agreement.burst_max),
        )
        self.witness = Witness(self.agreement, stat_sn=response.fields.stat_sn + 1)
        self.witness.max_cmd_sn = response.fields.max_cmd_sn

    def close(self, *, reset: bool = False) -> None:
        """Leave, having read everything or with a reset."""
        self.socket.room = 1 << 30
        self.socket.ended = True
        self.socket.reset = reset
        self.bench.loop.run()


def _off_by(digest: bytes, number: int) -> bytes:
    return ((int.from_bytes(digest, "big") + number) & 0xFFFFFFFF).to_bytes(4, "big")


class Defects:
    """Collects what must never be logged because of a peer."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def note(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.levelno >= logging.ERROR:
            self.found.append(record.getMessage())


class Bench:
    """A transport with one disk; as many peers as wanted."""

    def __init__(self, furnished: Callable[..., Any], defects: Defects, **options: Any) -> None:
        self.defects = defects
        self.loop = Loop()
        self.workers = Workers()
        self.host, self.lu, self.ram = furnished(self.loop, self.workers)
        self.ram.nowait = True
        self.options = IscsiOptions(**options)
        self.transport = IscsiTransport(self.host, self.options)
        self.portal = Portal()
        self.peers: list[Peer] = []

    def accept(self, sock: Socket) -> None:
        self.transport._accepted(sock, self.portal)  # type: ignore[arg-type]

    def peer(self) -> Peer:
        peer = Peer(self, 40000 + len(self.peers))
        self.peers.append(peer)
        return peer

    def finish(self) -> None:
        """Let every worker end its work."""
        while self.workers.jobs:
            self.workers.work()
            self.loop.run()

    def assert_at_rest(self) -> None:
        """Nobody is here any more, and nothing is left of anybody."""
        for peer in self.peers:
            peer.close()
        self.finish()
        target = self.host.target
        assert self.lu.accepted == self.lu.ended
        assert not self.lu.tasks()
        assert not any(len(itl.task_set) for itl in self.lu.itls)
        assert not target.nexuses
        assert not len(target.leases)
        assert not any(self.transport.statistics().values())
        found, self.defects.found = self.defects.found, []
        assert not found


@pytest.fixture
def bench(furnished: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """Makes benches.  What they log goes nowhere else: a record that is kept would keep the connection that it speaks of."""
    defects = Defects()
    monkeypatch.setattr(logging.Logger, "callHandlers", lambda logger, record: defects.note(record))
    return lambda **options: Bench(furnished, defects, **options)
