"""How a driver and the core come together, and how they don't."""

import asyncio
import errno
import fcntl
import gc
import mmap
import os
import socket
from collections.abc import Iterator

import pytest

from tgtcore.errors import RingError
from tgtcore.ring import Attached, Geometry, accept_driver, attach, doorbell
from tgtcore.ring.attach import HELLO, WELCOME
from tgtcore.ring.geometry import ABI_VERSION, FEATURES, HEADER, MAGIC
from tgtcore.ring.memory import read_geometry

SMALL = Geometry(depth=4, data_bytes=8192, events=2, event_bytes=4096)
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    core, driver = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with core, driver:
        driver.settimeout(10)
        yield core, driver


def let_go(*ends: Attached) -> None:
    for end in ends:
        os.close(end.request_bell)
        os.close(end.response_bell)


def hello(magic: bytes = MAGIC, version: int = ABI_VERSION, features: int = 0, name: bytes = b"tester") -> bytes:
    packet = bytearray(HELLO.size)
    HELLO.pack_into(packet, 0, magic, version, 0, features, name)
    return bytes(packet)


@pytest.mark.asyncio
async def test_what_either_side_has_is_what_the_other_has(pair: Pair) -> None:
    core_link, driver_link = pair
    core, driver = await asyncio.gather(
        accept_driver(core_link, SMALL), asyncio.to_thread(attach, driver_link, "tester")
    )
    assert (core.peer, core.pid, driver.pid) == ("tester", os.getpid(), os.getpid())
    assert core.memory.geometry == driver.memory.geometry == SMALL
    core.memory.responses[:5] = b"hello"
    driver.memory.data[-5:] = b"world"
    assert (driver.memory.responses[:5], core.memory.data[-5:]) == (b"hello", b"world")
    doorbell.ring(driver.request_bell, 3)
    doorbell.ring(core.response_bell, 4)
    assert (doorbell.heard(core.request_bell), doorbell.heard(driver.response_bell)) == (3, 4)
    let_go(core, driver)


@pytest.mark.asyncio
async def test_the_header_tells_what_is_where_and_who_is_there(pair: Pair) -> None:
    core_link, driver_link = pair
    driver_link.send(hello(features=1 << 63 | FEATURES))
    core = await accept_driver(core_link, SMALL, peer=(4711, 65534))
    packet, descriptors, _, _ = socket.recv_fds(driver_link, WELCOME.size, 4)
    memory, *bells = descriptors
    page = dict(
        zip((field.name for field in HEADER.fields), HEADER.unpack_from(os.pread(memory, 4096, 0)), strict=True)
    )
    assert (page["core_pid"], page["driver_pid"], page["driver_uid"]) == (os.getpid(), 4711, 65534)
    assert page["driver"].rstrip(b"\0") == b"tester"
    assert page["features"] == FEATURES
    assert WELCOME.unpack_from(packet, 0)[:4] == (MAGIC, ABI_VERSION, 0, FEATURES)
    assert page["total_bytes"] == os.fstat(memory).st_size == SMALL.total_bytes
    assert read_geometry(memory) == SMALL
    for change in (0, SMALL.total_bytes * 2):
        with pytest.raises(OSError, match=os.strerror(errno.EPERM)):
            os.ftruncate(memory, change)
    assert fcntl.fcntl(memory, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SEAL
    for fd in (memory, *bells):
        os.close(fd)
    let_go(core)


@pytest.mark.asyncio
async def test_each_ring_is_another_instance(pair: Pair) -> None:
    instances = set()
    for _ in range(2):
        core_link, driver_link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with core_link, driver_link:
            driver_link.send(hello())
            let_go(await accept_driver(core_link, SMALL))
            _, descriptors, _, _ = socket.recv_fds(driver_link, WELCOME.size, 4)
            with mmap.mmap(descriptors[0], 4096) as page:
                fields = [field.name for field in HEADER.fields]
                instances.add(HEADER.unpack_from(page, 0)[fields.index("instance")])
            for fd in descriptors:
                os.close(fd)
    assert len(instances) == 2


@pytest.mark.parametrize(
    ("packet", "status", "reason"),
    [
        (b"hello", 2, f"a hello of 5 bytes, expected {HELLO.size}"),
        (hello() + b"\0", 2, f"a hello of {HELLO.size + 1} bytes, expected {HELLO.size}"),
        (hello(magic=b"TGTRINGS"), 2, "this is no driver of a ring"),
        (
            hello(version=ABI_VERSION + 1),
            1,
            f"the driver speaks version {ABI_VERSION + 1} of the ring, this core version {ABI_VERSION}",
        ),
    ],
)
@pytest.mark.asyncio
async def test_a_hello_that_can_not_be_is_answered(pair: Pair, packet: bytes, status: int, reason: str) -> None:
    core_link, driver_link = pair
    driver_link.send(packet)
    with pytest.raises(RingError) as refused:
        await accept_driver(core_link, SMALL)
    assert str(refused.value) == reason
    answer, descriptors, _, _ = socket.recv_fds(driver_link, WELCOME.size + 1, 4)
    magic, version, told, _, text = WELCOME.unpack_from(answer, 0)
    assert (magic, version, told, text.rstrip(b"\0").decode()) == (MAGIC, ABI_VERSION, status, reason)
    assert descriptors == []


@pytest.mark.asyncio
async def test_who_may_not_attach_is_told_why(pair: Pair) -> None:
    core_link, driver_link = pair
    asked: list[tuple[int, int]] = []

    def refusal(pid: int, uid: int) -> str:
        asked.append((pid, uid))
        return "there is another one"

    core, driver = await asyncio.gather(
        accept_driver(core_link, SMALL, refusal=refusal),
        asyncio.to_thread(attach, driver_link, "tester"),
        return_exceptions=True,
    )
    assert isinstance(core, RingError)
    assert isinstance(driver, RingError)
    assert str(core) == str(driver) == "there is another one"
    assert asked == [(os.getpid(), os.getuid())]


@pytest.mark.asyncio
async def test_one_that_hangs_up_without_a_hello_is_gone(pair: Pair) -> None:
    core_link, driver_link = pair
    driver_link.close()
    with pytest.raises(ConnectionResetError, match="without a hello"):
        await accept_driver(core_link, SMALL)


@pytest.mark.asyncio
async def test_one_that_does_not_wait_for_the_answer_is_gone(pair: Pair) -> None:
    core_link, driver_link = pair
    gc.collect()  # what an earlier test has left
    before = len(os.listdir("/proc/self/fd"))
    driver_link.send(hello())
    driver_link.close()
    with pytest.raises(OSError, match=os.strerror(errno.EPIPE)):
        await accept_driver(core_link, SMALL)
    assert len(os.listdir("/proc/self/fd")) == before - 2, "those of the two sockets"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ((b"NOTRING\0", ABI_VERSION, 0, 0, b""), "whoever answers is no core"),
        ((MAGIC, ABI_VERSION, 0, 0, b""), "the core gave 0 descriptors, expected 3"),
        ((MAGIC, ABI_VERSION, 2, 0, b"not you"), "not you"),
    ],
)
@pytest.mark.asyncio
async def test_an_answer_that_can_not_be(pair: Pair, values: tuple[bytes | int, ...], wrong: str) -> None:
    core_link, driver_link = pair
    packet = bytearray(WELCOME.size)
    WELCOME.pack_into(packet, 0, *values)
    core_link.send(packet)
    with pytest.raises(RingError, match=wrong):
        attach(driver_link, "tester")


@pytest.mark.asyncio
async def test_a_core_that_hangs_up(pair: Pair) -> None:
    core_link, driver_link = pair
    core_link.shutdown(socket.SHUT_RDWR)
    with pytest.raises((RingError, OSError)):
        attach(driver_link, "tester")


@pytest.mark.asyncio
async def test_memory_that_is_no_ring_is_not_mapped(pair: Pair) -> None:
    core_link, driver_link = pair
    packet = bytearray(WELCOME.size)
    WELCOME.pack_into(packet, 0, MAGIC, ABI_VERSION, 0, 0, b"")
    memory = os.memfd_create("other")
    bell = doorbell.make()
    socket.send_fds(core_link, [packet], [memory, *bell])
    for fd in (memory, *bell):
        os.close(fd)
    gc.collect()  # what an earlier test has left
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RingError, match=f"this is no ring of version {ABI_VERSION}"):
        attach(driver_link, "tester")
    assert len(os.listdir("/proc/self/fd")) == before
