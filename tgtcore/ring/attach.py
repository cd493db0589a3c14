"""How a driver and the core come together: a hello, and the memory and doorbells in return.

The socket (``AF_UNIX``, ``SOCK_SEQPACKET``) stays open for as long as the driver lives: its end is how either side learns of the
other's.
"""

import asyncio
import errno
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from tgtcore.errors import RingError
from tgtcore.packets import hang_up, peer_credentials, receive_packet
from tgtcore.ring import doorbell
from tgtcore.ring.geometry import ABI_VERSION, FEATURES, MAGIC, Geometry
from tgtcore.ring.layout import Field, Layout
from tgtcore.ring.memory import Memory, create, read_geometry

ATTACH_S = 30.0
"""How long either side waits for the other's words."""


class WelcomeStatus(IntEnum):
    """How a hello went."""

    WELCOME = 0
    OTHER_VERSION = 1
    REFUSED = 2


HELLO = Layout(
    "hello",
    "What a driver says first, in one packet.",
    Field("magic", 8, '"TGTRING" and a zero'),
    Field("abi_version", "u32", "the version that the driver speaks"),
    Field("reserved4", "u32", "0"),
    Field("features", "u64", "features that the driver knows"),
    Field("driver", 64, "its name, in UTF-8, padded with zeroes"),
)
WELCOME = Layout(
    "welcome",
    "What the core answers, in one packet.  With status 0 the descriptors of the memory, the request doorbell and the response "
    "doorbell come with it (SCM_RIGHTS): the driver writes to the former and reads from the latter.",
    Field("magic", 8, '"TGTRING" and a zero'),
    Field("abi_version", "u32", "the version that the core speaks"),
    Field("status", "u32", "0 welcome, 1 another version, 2 refused"),
    Field(
        "features", "u64", "features in use: those that both sides know; when it is refused, those that the core knows"
    ),
    Field("text", 256, "why it is refused, in UTF-8, padded with zeroes"),
)


@dataclass
class Attached:
    """What either side has in the end.

    :param peer: name of the driver, for the core; empty for the driver.
    :param pid: process id of the other side, as the kernel knows it.
    """

    link: socket.socket
    memory: Memory
    request_bell: int
    response_bell: int
    peer: str
    pid: int


def _anybody(pid: int, uid: int) -> str:
    return ""


async def accept_driver(
    link: socket.socket,
    geometry: Geometry,
    peer: tuple[int, int] | None = None,
    refusal: Callable[[int, int], str] = _anybody,
) -> Attached:
    """Wait for the hello of a driver that has connected, and answer it.

    :param link: the connection; it is closed when the driver does not attach.
    :param peer: process and user id of the driver, when the socket does not know them.
    :param refusal: asked with process and user id when the hello has come: why this driver may not attach, if it may not.
    :raises RingError: it is refused, and was told so.
    :raises OSError: it is gone, or says nothing.
    """
    try:
        packet = await asyncio.wait_for(_first_packet(link), ATTACH_S)
        pid, uid = peer or peer_credentials(link)[:2]
        features, driver = _understood(link, packet, refusal(pid, uid))
        return _welcomed(link, geometry, features, pid, uid, driver)
    except BaseException:
        hang_up(link)
        raise


async def _first_packet(link: socket.socket) -> bytes:
    """As much of it as shows that it is too long; what descriptors come with it is not wanted."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    link.setblocking(False)
    loop.add_reader(link, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(link)
    return receive_packet(link, HELLO.size + 1)


def _understood(link: socket.socket, packet: bytes, reason: str) -> tuple[int, str]:
    """What a hello says: features that both sides know, and the driver's name.

    :param reason: why this driver is refused anyway, if it is.
    :raises RingError: it is refused, and was told so.
    :raises OSError: it is gone.
    """
    if not packet:
        raise ConnectionResetError(errno.ECONNRESET, "it has hung up without a hello")
    if reason:
        raise _refuse(link, WelcomeStatus.REFUSED, reason)
    if len(packet) != HELLO.size:
        raise _refuse(link, WelcomeStatus.REFUSED, f"a hello of {len(packet)} bytes, expected {HELLO.size}")
    magic, version, _, known, name = HELLO.unpack_from(packet, 0)
    if magic != MAGIC:
        raise _refuse(link, WelcomeStatus.REFUSED, "this is no driver of a ring")
    if version != ABI_VERSION:
        raise _refuse(
            link,
            WelcomeStatus.OTHER_VERSION,
            f"the driver speaks version {version} of the ring, this core version {ABI_VERSION}",
        )
    return known & FEATURES, name.rstrip(b"\0").decode("utf-8", "replace")


def _welcomed(link: socket.socket, geometry: Geometry, features: int, pid: int, uid: int, driver: str) -> Attached:
    """Make a ring and let the driver have its part of it."""
    header = geometry.header(
        features=features,
        core_pid=os.getpid(),
        driver_pid=pid,
        driver_uid=uid,
        instance=secrets.token_bytes(16),
        driver=driver,
    )
    bells: list[int] = []
    memory_fd = create(geometry, header)
    try:
        memory = Memory(memory_fd, geometry)
        bells += doorbell.make()
        bells += doorbell.make()
        request_heard, request_rung, response_heard, response_rung = bells
        welcome = bytearray(WELCOME.size)
        WELCOME.pack_into(welcome, 0, MAGIC, ABI_VERSION, WelcomeStatus.WELCOME, features, b"")
        socket.send_fds(link, [welcome], (memory_fd, request_rung, response_heard))
    except BaseException:
        for fd in bells:
            os.close(fd)
        raise
    finally:
        os.close(memory_fd)
    os.close(request_rung)
    os.close(response_heard)
    return Attached(link, memory, request_heard, response_rung, driver, pid)


def attach(link: socket.socket, driver: str) -> Attached:
    """Say hello to the core over a connected socket and map the ring.

    :param driver: the driver's name, for messages.
    :raises RingError: it is refused; the message says why.
    :raises OSError: the core is gone, or says nothing.
    """
    link.settimeout(ATTACH_S)
    hello = bytearray(HELLO.size)
    HELLO.pack_into(hello, 0, MAGIC, ABI_VERSION, 0, FEATURES, driver.encode()[:64])
    link.sendall(hello)
    packet, descriptors, _, _ = socket.recv_fds(link, WELCOME.size, 3, socket.MSG_CMSG_CLOEXEC)
    try:
        if len(packet) != WELCOME.size:
            raise RingError("the core has gone without an answer")
        magic, _, status, _, text = WELCOME.unpack_from(packet, 0)
        if magic != MAGIC:
            raise RingError("whoever answers is no core")
        if status:
            raise RingError(text.rstrip(b"\0").decode("utf-8", "replace"))
        if len(descriptors) != 3:
            raise RingError(f"the core gave {len(descriptors)} descriptors, expected 3")
        memory = Memory(descriptors[0], read_geometry(descriptors[0]))
    except BaseException:
        for fd in descriptors:
            os.close(fd)
        raise
    os.close(descriptors[0])
    return Attached(link, memory, descriptors[1], descriptors[2], "", peer_credentials(link)[0])


def _refuse(link: socket.socket, status: WelcomeStatus, reason: str) -> RingError:
    packet = bytearray(WELCOME.size)
    WELCOME.pack_into(packet, 0, MAGIC, ABI_VERSION, status, FEATURES, reason.encode()[:256])
    try:
        link.sendall(packet)
    except OSError:
        return RingError(f"{reason}; it did not wait for an answer")
    return RingError(reason)
