"""How a client partition attaches to an adapter: it says hello, and gets memory and doorbells in return."""

import asyncio
import os
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from tgtcore import hang_up, receive_packet
from tgtcore_ibmvio.platform.emulated import doorbell
from tgtcore_ibmvio.platform.emulated.memory import SharedMemory, create
from tgtcore_ibmvio.platform.emulated.readable import readable
from tgtcore_ibmvio.platform.emulated.wire import HELLO, MAGIC, VERSION, WELCOME, Geometry, Hello, Refused, Status

HELLO_S = 5.0
"""How long the hello of a client partition may take."""


@dataclass
class Attached:
    """What the machine has of a client partition.

    :param link: the socket.
    :param heard: the doorbell that the client rings.
    :param rung: the doorbell that it hears.
    """

    link: socket.socket
    hello: Hello
    shared: SharedMemory
    heard: int
    rung: int


async def attach(link: socket.socket, unit_address: int, memory_max: int) -> Attached:
    """Wait for the hello of a client partition, and welcome it.

    :raises Refused: it may not attach.
    :raises OSError: it is gone, or says nothing.
    """
    packet = await asyncio.wait_for(_first_packet(link), HELLO_S)
    return _welcomed(link, Hello.parse(packet, memory_max), unit_address)


async def _first_packet(link: socket.socket) -> bytes:
    """As much of it as shows that it is too long; what descriptors come with it is not wanted."""
    await readable(link)
    packet = receive_packet(link, HELLO.size + 1)
    if not packet:
        raise ConnectionResetError("it has hung up without a hello")
    return packet


def _welcomed(link: socket.socket, hello: Hello, unit_address: int) -> Attached:
    geometry = Geometry.of(hello)
    with ExitStack() as ours, ExitStack() as theirs:
        try:
            memory = create(geometry)
            theirs.callback(os.close, memory)
            shared = SharedMemory(memory, geometry)
            heard, to_ring = doorbell.make()
            ours.callback(os.close, heard)
            theirs.callback(os.close, to_ring)
            to_hear, rung = doorbell.make()
            theirs.callback(os.close, to_hear)
            ours.callback(os.close, rung)
        except (OSError, ValueError) as error:
            raise Refused(f"there is no memory for it: {error}") from None
        socket.send_fds(link, [_welcome(unit_address, geometry)], [memory, to_ring, to_hear])
        ours.pop_all()
    return Attached(link, hello, shared, heard, rung)


def _welcome(unit_address: int, geometry: Geometry) -> bytes:
    return WELCOME.pack(
        MAGIC,
        VERSION,
        Status.WELCOME,
        unit_address,
        0,
        geometry.total_bytes,
        geometry.queue_offset,
        geometry.table_offset,
        geometry.memory_offset,
        b"",
    )


def refuse(link: socket.socket, text: str, status: Status = Status.REFUSED) -> None:
    """Tell a client partition why it may not attach, and hang up."""
    with suppress(OSError):  # it does not want to know
        link.send(WELCOME.pack(MAGIC, VERSION, status, 0, 0, 0, 0, 0, 0, text.encode()[:255]))
    hang_up(link)
