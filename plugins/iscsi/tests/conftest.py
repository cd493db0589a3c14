"""A transport with one small disk behind it, and an initiator that speaks PDU by PDU."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tgtcore_iscsi.addresses import parse_address
from tgtcore_iscsi.digest import padding
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.initiator.pdu import Response, login_status, parse_response
from tgtcore_iscsi.options import IscsiOptions, IscsiTargetOptions, PortalOptions
from tgtcore_iscsi.pdu.codes import FINAL, LoginStatus, Opcode
from tgtcore_iscsi.text import encode_pairs
from tgtcore_iscsi.transport import IscsiTransport

from tgtcore import (
    PENDING,
    Account,
    CheckCondition,
    DeviceType,
    Identity,
    InitiatorPort,
    LogicalUnit,
    Nexus,
    NoOptions,
    OpenStore,
    Store,
    Target,
    TargetPort,
    Task,
    command,
)
from tgtcore.loop import Workers
from tgtcore.testing.ring import DriverOnThisLoop
from tgtcore.testing.waiting import until_async
from tgtcore.transport import LocalDriver

WAIT_S = 10
_HERE = Path(__file__).parent
TARGET = "iqn.2026-11.org.example:disk"
INITIATOR = "iqn.2026-11.org.example:tester"
BLOCK = 512
BLOCKS = 16384


class Ram(Store):
    """A disk in memory whose reads and writes can be held back."""

    size_bytes = BLOCK * BLOCKS

    def __init__(self) -> None:
        self.content = bytearray(self.size_bytes)
        self.nowait = True
        self.gate = threading.Event()
        """Worker threads wait until it is set."""
        self.gate.set()

    def read(self, offset: int, length: int) -> bytes:
        assert self.gate.wait(WAIT_S)
        return bytes(self.content[offset : offset + length])

    def write(self, offset: int, data: Any) -> None:
        assert self.gate.wait(WAIT_S)
        self.content[offset : offset + len(data)] = data

    def flush(self) -> None:
        """Memory is as durable as it gets."""


def _blocks_wanted(device: "SmallDisk", task: Task) -> int:
    return int.from_bytes(task.cdb[7:9], "big") * BLOCK


_COMPLEMENT = bytes(range(256))[::-1]


class SmallDisk(DeviceType):
    """As much of a disk as the transport's tests need."""

    code = 0x00

    @command(0x00, "00 00 00 00 00 00")
    def test_unit_ready(self, task: Task) -> None:
        """Always ready."""

    @command(0x28, "28 00 ff ff ff ff 00 ff ff 00")
    def read_10(self, task: Task) -> Any:
        assert self.store is not None
        offset, length = self._range(task)
        if self.store.store.nowait:  # type: ignore[attr-defined]
            return task.complete(self.store.read(offset, length)) or PENDING
        return task.offload(self.store.read, offset, length)

    @command(0x2A, "2a 00 ff ff ff ff 00 ff ff 00", wants=_blocks_wanted)
    def write_10(self, task: Task) -> Any:
        assert self.store is not None
        offset, _ = self._range(task)
        return task.offload(self.store.write, offset, task.data_out or b"")

    @command(0x53, "53 00 ff ff ff ff 00 ff ff 00", wants=_blocks_wanted)
    def xdwriteread_10(self, task: Task) -> Any:
        """Bidirectional: each byte comes back as its complement."""
        return task.complete(bytes(task.data_out or b"").translate(_COMPLEMENT)) or PENDING

    def _range(self, task: Task) -> tuple[int, int]:
        lba, blocks = int.from_bytes(task.cdb[2:6], "big"), int.from_bytes(task.cdb[7:9], "big")
        if lba + blocks > BLOCKS:
            raise CheckCondition(5, (0x21, 0))
        return lba * BLOCK, blocks * BLOCK


@dataclass
class FakeHost:
    """The core as a transport sees it, with one target."""

    loop: asyncio.AbstractEventLoop
    target: Target
    accounts: dict[str, Account] = field(default_factory=dict)
    admit: bool = True

    def targets(self) -> list[Target]:
        return [self.target]

    def find_target(self, name: str) -> Target | None:
        return self.target if name == self.target.name else None

    def account(self, name: str) -> Account | None:
        return self.accounts.get(name)

    def admits(self, target: Target, initiator_port: InitiatorPort, portal: str) -> bool:
        return self.admit

    def open_nexus(self, target: Target, initiator_port: InitiatorPort, target_port: TargetPort) -> Nexus:
        def absent(task: Task) -> None:
            task.finish(2, bytes.fromhex("70000500000000 0a 00000000 2500 00000000"))

        nexus = Nexus(target, initiator_port, target_port, lambda lu: lu.commands, absent)
        target.nexus_opened(nexus)
        return nexus

    def inherited(self, address: str) -> socket.socket | None:
        return None


@dataclass
class Rig:
    """Everything of one test; what begins or ends something goes through the driver."""

    driver: LocalDriver | DriverOnThisLoop
    host: FakeHost
    lu: LogicalUnit
    ram: Ram

    @property
    def transport(self) -> IscsiTransport:
        assert isinstance(self.driver.transport, IscsiTransport)
        return self.driver.transport

    @property
    def port(self) -> int:
        return parse_address(self.transport.portals()[0].address).port

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for something that will happen soon."""
        await until_async(condition, WAIT_S)

    def assert_at_rest(self) -> None:
        assert not self.lu.tasks()
        assert self.lu.accepted == self.lu.ended
        assert not self.host.target.nexuses
        assert not len(self.host.target.leases)


@pytest.fixture
def options() -> IscsiOptions:
    return IscsiOptions(portals=(PortalOptions(address="127.0.0.1:0"),))


@pytest.fixture
def target_options() -> IscsiTargetOptions:
    return IscsiTargetOptions()


def furnish(loop: Any, workers: Any, target_options: IscsiTargetOptions, ram: Ram) -> tuple[FakeHost, LogicalUnit]:
    """A target with one small disk as LUN 0, and the core around it."""
    lu = LogicalUnit(Identity.make("disk", bytes(16)), SmallDisk, OpenStore("ram", ram, workers), NoOptions())
    target = Target(TARGET, 1, "iscsi", target_options)
    target.map(0, lu)
    return FakeHost(loop, target), lu


@pytest.fixture
def furnished() -> Callable[[Any, Any], tuple[FakeHost, LogicalUnit, Ram]]:
    """Furnish a loop and workers of the test's own; all of one test's disks have the same memory."""
    ram = Ram()
    return lambda loop, workers: (*furnish(loop, workers, IscsiTargetOptions(), ram), ram)


_BEHIND_A_RING_TOO = {
    "memory",
    "task_management",
    "reinstatement",
    "transport",
    "bidirectional",
    "sessions",
    "data_out",
    "noise",
}
"""What the quick tests run both ways: where it matters when the core answers.  The slow ones run everything both ways."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        behind_a_ring = "behind a ring" in item.name and item.path.is_relative_to(_HERE)
        if behind_a_ring and item.path.stem.removeprefix("test_") not in _BEHIND_A_RING_TOO:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=[False, True], ids=["here", "behind a ring"])
def behind_a_ring(request: pytest.FixtureRequest) -> bool:
    """Whether the core is at the other end of a ring; then the transport is as it is with ``isolation = "process"``."""
    return bool(request.param)


@pytest_asyncio.fixture
async def rig(options: IscsiOptions, target_options: IscsiTargetOptions, behind_a_ring: bool) -> AsyncIterator[Rig]:
    loop = asyncio.get_running_loop()
    workers = Workers(2, loop)
    ram = Ram()
    host, lu = furnish(loop, workers, target_options, ram)

    def make(host: Any) -> IscsiTransport:
        return IscsiTransport(host, options)

    driver = DriverOnThisLoop(host, make) if behind_a_ring else LocalDriver(make(host))
    await driver.start()
    rig = Rig(driver, host, lu, ram)
    yield rig
    await asyncio.wait_for(driver.close(), WAIT_S)
    await until_async(lambda: not host.target.nexuses)
    rig.assert_at_rest()
    workers.close()
    assert workers.join(WAIT_S)


class Client:
    """An initiator that sends exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.cmd_sn = 1
        self.exp_stat_sn = 0
        self.tags: Iterator[int] = iter(range(1, 1 << 30))
        self.login_keys: dict[str, str] = {}

    @classmethod
    async def connect(cls, rig: Rig) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", rig.port))

    async def login(self, isid: bytes = b"\x40\0\0\1\0\1", *, discovery: bool = False, **keys: str) -> LoginStatus:
        """Straight to the full feature phase, without authentication."""
        pairs = [("InitiatorName", INITIATOR), ("AuthMethod", "None")]
        pairs += [("SessionType", "Discovery")] if discovery else [("SessionType", "Normal"), ("TargetName", TARGET)]
        request = pdu.login_request(encode_pairs(pairs), flags=0x81, isid=isid, cmd_sn=self.cmd_sn)
        self.send(request)
        first = await self.receive()
        status = login_status(first.fields)
        if status is not LoginStatus.SUCCESS:
            return status
        operational = {"MaxRecvDataSegmentLength": "262144", "InitialR2T": "No", "ImmediateData": "Yes", **keys}
        data = encode_pairs(operational.items())
        self.send(
            pdu.login_request(data, flags=0x87, isid=isid, cmd_sn=self.cmd_sn, exp_stat_sn=first.fields.stat_sn + 1)
        )
        last = await self.receive()
        text = last.data.decode().split("\0")
        self.login_keys = dict(item.split("=", 1) for item in text if item)
        return login_status(last.fields)

    def send(self, request: bytes) -> None:
        self.writer.write(request)

    async def receive(self) -> Response:
        """The next PDU; EOF raises IncompleteReadError."""
        header = await asyncio.wait_for(self.reader.readexactly(48), WAIT_S)
        length = int.from_bytes(header[5:8], "big")
        data = await asyncio.wait_for(self.reader.readexactly(length + len(padding(length))), WAIT_S)
        response = parse_response(header + data)
        stat_sn = getattr(response.fields, "stat_sn", None)
        if stat_sn is not None and response.opcode not in (Opcode.R2T, Opcode.NOP_IN):
            self.exp_stat_sn = stat_sn + 1
        return response

    def command(self, cdb: bytes, *, out: bytes | int = b"", room: int = 0, immediate: int = 0, **more: Any) -> int:
        """Send a SCSI Command with ``immediate`` bytes of its data-out; returns the task tag."""
        itt = next(self.tags)
        length = len(out) if isinstance(out, bytes) else out
        flags = (0x20 if length else 0) | (0x40 if room else 0) | 1 | more.pop("final", FINAL)
        fields = {"lun": 0, "itt": itt, "cmd_sn": self.cmd_sn, "exp_stat_sn": self.exp_stat_sn, **more}
        data = out[:immediate] if isinstance(out, bytes) else b""
        self.send(pdu.scsi_command(cdb, flags=flags, expected_length=length or room, data=data, **fields))
        if not more.get("immediate") and "cmd_sn" not in more:
            self.cmd_sn += 1
        return itt

    async def execute(self, cdb: bytes, *, out: bytes = b"", room: int = 0, immediate: int = 0) -> tuple[int, bytes]:
        """Run a command to its end, answering R2Ts; returns status and data-in (or sense data)."""
        itt = self.command(cdb, out=out, room=room, immediate=immediate)
        got = bytearray(room)
        while True:
            response = await self.receive()
            fields = response.fields
            assert fields.itt == itt
            if response.opcode is Opcode.R2T:
                end = fields.buffer_offset + fields.desired_length
                self.data(itt, out, fields.buffer_offset, end, ttt=fields.ttt)
            elif response.opcode is Opcode.DATA_IN:
                got[fields.buffer_offset : fields.buffer_offset + len(response.data)] = response.data
                if fields.flags & 1:
                    return fields.status, bytes(got)
            else:
                return fields.status, response.data if fields.status else bytes(got)

    def data(self, itt: int, out: bytes, start: int, end: int, *, ttt: int, piece: int = 65536) -> None:
        """Data-Out PDUs for one burst."""
        for data_sn, at in enumerate(range(start, end, piece)):
            part = out[at : min(at + piece, end)]
            flags = FINAL if at + piece >= end else 0
            request = pdu.data_out(
                part,
                flags=flags,
                itt=itt,
                exp_stat_sn=self.exp_stat_sn,
                data_sn=data_sn,
                buffer_offset=at,
                ttt=ttt,
            )
            self.send(request)

    async def ready(self) -> None:
        """Take the power-on attention, then find the disk ready."""
        assert (await self.execute(bytes(6)))[0] == 2
        assert (await self.execute(bytes(6)))[0] == 0

    async def ended(self) -> bytes:
        """Everything until the target closes the connection; it may do so while there is more of ours to read."""
        got = bytearray()
        try:
            while piece := await asyncio.wait_for(self.reader.read(65536), WAIT_S):
                got += piece
        except ConnectionResetError:
            pass
        return bytes(got)

    def close(self) -> None:
        self.writer.close()


@pytest_asyncio.fixture
async def client(rig: Rig) -> AsyncIterator[Client]:
    client = await Client.connect(rig)
    yield client
    client.close()
